"""The benchmark's whole run, small: real HDFS lines, a real Kafka, the real trainer and agent as processes."""

from pathlib import Path

import pytest

from bench import e2e


@pytest.mark.kafka
@pytest.mark.ray
@pytest.mark.shared
@pytest.mark.slow
def test_nothing_is_lost_and_a_replay_is_identical(kafka: str, shared_data: Path, tmp_path: Path) -> None:
    """BGL teaches, HDFS streams, the agent is killed once: no window lost or cut, a second replay gives the same."""
    options = e2e.Options(
        data=shared_data,
        source="bgl",
        target="hdfs",
        bootstrap_servers=kafka,
        work=tmp_path,
        source_lines=10_000,
        training={"budget": 200, "meta_steps": 20, "final_steps": 60, "rounds": 1},
    )

    result = e2e.run(options)

    assert (result["lost_windows"], result["partial_windows"]) == (0, 0)
    assert result["replay_identical"]
    assert (result["windows"], result["lines"], result["dead_letters"]) == (55, 4_519, 0)
    assert 0 < result["crash"]["committed"] < result["crash"]["produced"] < 2_041
    assert result["model"]["version"] == 1
    assert e2e.passed(result)
