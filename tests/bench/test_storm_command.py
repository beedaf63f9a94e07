"""`python -m bench storm`: what it prints, and when it fails."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bench import storm
from bench.__main__ import main
from testkit.checker import Verdict
from testkit.storm import START_MS, StormResult, storm_lines


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> dict[int, Verdict]:
    """Verdicts by seed that storms without Kafka or agents come to; all is well where none is set."""
    found: dict[int, Verdict] = {}

    @contextlib.contextmanager
    def broker() -> Iterator[Any]:
        yield SimpleNamespace(bootstrap_servers="127.0.0.1:1")

    class Storm:
        def __init__(self, _bed: object, _broker: object, _folder: object, seed: int, _seconds: float) -> None:
            self.seed = seed

        def run(self) -> StormResult:
            verdict = found.get(self.seed, Verdict(windows=5, duplicate_windows=1))
            return StormResult(self.seed, 100, verdict, 1.0, Counter(sigkill=2))

    monkeypatch.setattr(storm, "LocalKafka", broker)
    monkeypatch.setattr(storm, "KafkaBed", lambda *_: None)
    monkeypatch.setattr(storm, "Storm", Storm)
    return found


def test_totals_of_all_seeds_are_printed(verdicts: dict[int, Verdict], capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object, last: seeds, faults, losses, duplicates, each run, and where it was measured."""
    assert verdicts == {}
    assert main(["storm", "--seeds", "2", "--seconds", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["seeds"], result["records"], result["windows"], result["faults"]) == (
        [1, 2],
        200,
        10,
        {"sigkill": 4},
    )
    assert (result["lost"], result["partial"], result["missing_alerts"], result["duplicate_windows"]) == (0, 0, 0, 2)
    assert [run["problems"] for run in result["runs"]] == [{}, {}]
    assert result["commit"]


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(lost=[(0, "a", (0, 0))]),
        Verdict(partial=[(0, "a", (0, 0))]),
        Verdict(unaccounted=[(0, "a", (0, 0))]),
        Verdict(doubled=[(0, "a", (0, 0))]),
        Verdict(contradictory=["w"]),
        Verdict(behind=[0]),
        Verdict(missing_alerts=["w"]),
        Verdict(stray_alerts=["w"]),
    ],
)
def test_any_loss_in_any_seed_fails(
    verdicts: dict[int, Verdict], verdict: Verdict, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and the run's row names the statement that is broken."""
    verdicts[2] = verdict
    assert main(["storm", "--seeds", "2", "--json"]) == 1
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result["runs"][1]["problems"]) == set(verdict.problems) != set()


def test_a_seed_gives_the_same_lines() -> None:
    """Times never go back, every kind of line occurs, and another seed gives other lines."""
    first = [line for line, _ in zip(storm_lines(1), range(2_000), strict=False)]
    assert first == [line for line, _ in zip(storm_lines(1), range(2_000), strict=False)]
    assert first != [line for line, _ in zip(storm_lines(2), range(2_000), strict=False)]
    times = [time_ms for _, _, time_ms in first]
    assert times == sorted(times)
    assert times[0] >= START_MS
    values = {value for _, value, _ in first}
    assert {b"\xff\xfe", b"heartbeat"} <= values
    assert any(b"packed together" in value for value in values)
