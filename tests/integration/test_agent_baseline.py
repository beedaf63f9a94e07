"""Before the first model: the baseline as a process under kill -9."""

import uuid
from pathlib import Path

import pytest

from detector.testing import ANOMALOUS_LINES, NORMAL_LINES
from testkit.kafka_bed import AgentProcess, KafkaBed
from testkit.processes import wait_until

START_MS = 1_700_000_000_000
ORDERS = 240  # the baseline warms up for 200 windows
NEW_TEMPLATES_AT = 230


def orders(first: int, end: int) -> list[tuple[int, bytes, int]]:
    """Orders one after the other on one partition, each later than the one before closes."""
    return [
        (0, line.replace("17", str(order)).encode(), START_MS + order * 1_000_000)
        for order in range(first, end)
        for line in (NORMAL_LINES if order != NEW_TEMPLATES_AT else (*NORMAL_LINES, *ANOMALOUS_LINES))
    ]


def scores(bench: KafkaBed) -> dict[int, float]:
    """Score by the first offset of each closed window; windows written twice have one score."""
    found: dict[int, float] = {}
    for record in bench.records(bench.topics.windows):
        assert found.setdefault(record["offsets"][0], record["score"]) == record["score"]
    return found


@pytest.mark.parametrize("servers", ["embedded"], indirect=True)
def test_a_kill_during_the_warm_up_changes_no_score(servers: str, tmp_path: Path) -> None:
    """Killed in the warm-up, the baseline goes on with what it had learned, and scores as without the kill."""
    whole, killed = (KafkaBed(servers, uuid.uuid4().hex[:12], partitions=1) for _ in range(2))
    without_model = {"wait_seconds": 0}
    whole.produce(orders(0, ORDERS))
    with AgentProcess(whole, tmp_path, model=without_model) as agent:
        wait_until(whole.all_committed, "everything is committed")
        assert agent.terminate() == 0, agent.log
    killed.produce(orders(0, 100))
    with AgentProcess(killed, tmp_path, model=without_model) as agent:
        wait_until(killed.all_committed, "the first orders are committed")
        killed.produce(orders(100, 150))
        agent.kill()
    killed.produce(orders(150, ORDERS))
    with AgentProcess(killed, tmp_path, model=without_model) as agent:
        wait_until(killed.all_committed, "everything is committed")
        assert agent.terminate() == 0, agent.log
    expected = scores(whole)
    assert len(expected) == ORDERS - 1
    assert [score >= 0.5 for _, score in sorted(expected.items())].index(True) == NEW_TEMPLATES_AT
    assert scores(killed) == expected
