"""The agent as a process under kill -9, SIGTERM, lost state: nothing is lost, nothing partial, ids as cut elsewhere."""

import random
import threading
import time
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from agent.runtime.consumer_thread import FETCH_WAIT_MS
from detector.testing import ANOMALOUS_LINES, NORMAL_LINES, tiny_files
from detector.windowing.cutter import window_id
from schemas.snapshot import SnapshotName
from testkit.checker import check
from testkit.kafka_bed import AgentProcess, KafkaBed
from testkit.local_kafka import LocalKafka
from testkit.processes import wait_until
from testkit.reference_windows import session_rule

START_MS = 1_700_000_000_000
IDLE_MS = 60_000
END_MS = START_MS + 1_000_000_000


def interleaved(seed: int) -> Iterator[tuple[int, bytes, int]]:
    """Lines of overlapping orders on two partitions; some orders pause longer than the idle time and come back."""
    chance = random.Random(seed)
    now_ms = START_MS
    while True:
        now_ms += chance.randrange(500, 3_000)
        order = chance.randrange(40) + (now_ms - START_MS) // 400_000 * 7
        text = chance.choice(NORMAL_LINES if chance.random() < 0.95 else ANOMALOUS_LINES).replace("17", str(order))
        yield order % 2, text.encode(), now_ms


def watermark_records() -> list[tuple[int, bytes, int]]:
    """A keyless line on each partition, later than everything: closes what is open."""
    return [(partition, b"the end of the test", END_MS) for partition in range(2)]


def check_windows(bench: KafkaBed) -> None:
    """Every window of the reference is on the topic, whole, under its id, with its alert, and nothing else is."""
    evidence = bench.evidence()
    verdict = check(evidence, session_rule(r"\border=(\S+)", IDLE_MS))
    assert verdict.problems == {}
    assert all(
        one.id == window_id("orders", one.key, bench.raw, one.partition, one.offsets[0]) for one in evidence.windows
    )
    assert any(one.anomalous for one in evidence.windows)


def test_kill_9_in_mid_stream_loses_nothing(bench: KafkaBed, tmp_path: Path) -> None:
    """Two kills while lines flow: the windows are those of an independent cut, and the position reaches the end."""
    bench.publish(tiny_files(), 1)
    lines = interleaved(seed=1)
    enough = threading.Event()

    def feed() -> None:
        while not enough.wait(0.1):
            bench.produce(list(islice(lines, 20)))

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        for _ in range(2):
            with AgentProcess(bench, tmp_path) as agent:
                agent.wait_for_log("partitions are restored")
                time.sleep(2.3)
                agent.kill()
        with AgentProcess(bench, tmp_path) as agent:
            agent.wait_for_log("partitions are restored")
            time.sleep(1)
            enough.set()
            feeder.join()
            bench.produce(watermark_records())
            wait_until(bench.all_committed, "the committed position at the end")
            assert agent.terminate() == 0, agent.log
    finally:
        enough.set()
        feeder.join()
    check_windows(bench)


@pytest.mark.parametrize("servers", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)
def test_sigterm_with_open_windows_exits_0_and_resumes(bench: KafkaBed, tmp_path: Path) -> None:
    """A window that is open at SIGTERM is carried over by its snapshot, and closed complete by the next worker."""
    bench.publish(tiny_files(), 1)
    lines = list(islice(interleaved(seed=2), 400))
    bench.produce(lines[:200])
    with AgentProcess(bench, tmp_path) as agent:
        wait_until(bench.all_committed, "the first half committed")
        assert agent.get("/live")[0] == 200
        status, body = agent.get("/ready")
        assert (status, '"orders": 1' in body) == (200, True)
        assert "fusionlog_records_consumed_total" in agent.get("/metrics")[1]
        assert agent.terminate() == 0, agent.log
    first = {record["id"] for record in bench.records(bench.topics.windows)}
    names = [SnapshotName.parse(metadata) for _, metadata in bench.committed().values()]
    assert all(name.generation >= 0 for name in names)
    bench.produce(lines[200:] + watermark_records())
    with AgentProcess(bench, tmp_path) as agent:
        wait_until(bench.all_committed, "the second half committed")
        assert agent.terminate() == 0, agent.log
    spanning = [
        record
        for record in bench.records(bench.topics.windows)
        if record["id"] not in first and record["offsets"][0] < 80
    ]
    assert spanning, "no window was open at SIGTERM"
    check_windows(bench)


def test_lost_state_stops_loudly_and_restarts_windows_when_told(bench: KafkaBed, tmp_path: Path) -> None:
    """A committed position whose snapshot is missing ends the agent with exit 1; `restart_windows` goes on."""
    bench.publish(tiny_files(), 1)
    bench.produce(list(islice(interleaved(seed=3), 100)))
    with AgentProcess(bench, tmp_path) as agent:
        wait_until(bench.all_committed, "all committed")
        assert agent.terminate() == 0, agent.log
    damaged = {}
    for partition, (offset, metadata) in bench.committed().items():
        name = SnapshotName.parse(metadata)
        damaged[partition] = offset, SnapshotName(name.base, name.last, "0" * 64, name.generation).metadata()
    bench.commit(damaged)
    with AgentProcess(bench, tmp_path) as agent:
        assert agent.wait() == 1
        assert "on_lost_state: restart_windows" in agent.log
    bench.produce(watermark_records())
    with AgentProcess(bench, tmp_path, on_lost_state="restart_windows") as agent:
        wait_until(bench.all_committed, "going on without the open windows")
        assert "state is lost" in agent.log
        assert agent.terminate() == 0, agent.log


@pytest.mark.kafka
def test_lines_that_kafka_deletes_under_a_running_agent_are_told(kafka: str, tmp_path: Path) -> None:
    """Lines deleted before they were read end it with one line, never a silent jump; started again, it counts them."""
    bench = KafkaBed(kafka, uuid.uuid4().hex[:12])
    bench.publish(tiny_files(), 1)
    bench.produce(list(islice(interleaved(seed=6), 100)))
    with AgentProcess(bench, tmp_path, session_timeout_seconds=15) as agent:
        wait_until(bench.all_committed, "all committed")
        agent.pause()
        # The fetch that was under way is answered empty first: else its answer would hold the lines, and none be lost.
        time.sleep(3 * FETCH_WAIT_MS / 1000)
        bench.produce([(0, b"order=1 gone", END_MS)] * 100)
        places = [TopicPartition(bench.raw, 0, bench.ends()[0] - 10)]
        admin = AdminClient(bench.kafka.librdkafka())  # held by name: its answers go with it
        for deleted in admin.delete_records(places).values():
            deleted.result(30)
        agent.resume()
        assert agent.wait() == 1
        assert f"of {bench.raw}/0 must be in the log" in agent.log
        assert "Traceback" not in agent.log
    with AgentProcess(bench, tmp_path) as agent:
        wait_until(bench.all_committed, "going on behind what was deleted")
        assert "the broker deleted lines before they were read" in agent.log
        assert 'fusionlog_offsets_lost_total{system="orders"}' in agent.get("/metrics")[1]
        assert agent.terminate() == 0, agent.log


def test_a_foreign_commit_is_lost_state(bench: KafkaBed, tmp_path: Path) -> None:
    """A position that an operator's tool has set names no snapshot: that is an error."""
    bench.publish(tiny_files(), 1)
    bench.produce(list(islice(interleaved(seed=4), 20)))
    bench.commit({0: (3, "")})
    with AgentProcess(bench, tmp_path) as agent:
        assert agent.wait() == 1
        assert "must name a snapshot" in agent.log


@pytest.mark.kafka
def test_workers_that_come_and_go_lose_nothing(kafka: str, tmp_path: Path) -> None:
    """A second worker joins, the first is stopped, the second killed, a third ends it: each window is there, once."""
    bench = KafkaBed(kafka, uuid.uuid4().hex[:12])
    bench.publish(tiny_files(), 1)
    lines = interleaved(seed=5)
    enough = threading.Event()

    def feed() -> None:
        while not enough.wait(0.1):
            bench.produce(list(islice(lines, 20)))

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        with AgentProcess(bench, tmp_path) as first, AgentProcess(bench, tmp_path) as second:
            first.wait_for_log("partitions are restored")
            second.wait_for_log("partitions are restored")
            time.sleep(2)
            assert first.terminate() == 0, first.log
            wait_until(lambda: second.log.count("partitions are restored") > 1, "the second worker takes over")
            time.sleep(1)
            second.kill()
        with AgentProcess(bench, tmp_path) as third:
            third.wait_for_log("partitions are restored")
            enough.set()
            feeder.join()
            bench.produce(watermark_records())
            wait_until(bench.all_committed, "the committed position at the end")
            assert third.terminate() == 0, third.log
    finally:
        enough.set()
        feeder.join()
    check_windows(bench)


@pytest.mark.kafka
def test_a_broker_outage_loses_nothing_and_a_stop_during_one_is_logged(tmp_path: Path) -> None:
    """The agent waits for the broker and goes on; stopped meanwhile, it logs that the last lines are not saved."""
    lines = interleaved(9)
    with LocalKafka() as broker:
        bench = KafkaBed(broker.bootstrap_servers, uuid.uuid4().hex[:12])
        bench.publish(tiny_files(), version=1)
        with AgentProcess(bench, tmp_path, shutdown_seconds=5) as agent:
            agent.wait_for_log("agent is running")
            bench.produce(list(islice(lines, 300)))
            broker.kill()
            time.sleep(3)
            assert agent.running
            broker.restart()
            bench.produce([*islice(lines, 300), *watermark_records()])
            wait_until(bench.all_committed, "everything is committed")
            check_windows(bench)
            assert agent.terminate() == 0
        with AgentProcess(bench, tmp_path, shutdown_seconds=5, checkpoint_seconds=600) as agent:
            agent.wait_for_log("agent is running")
            bench.produce(list(islice(lines, 20)))
            wait_until(
                lambda: 'fusionlog_records_consumed_total{system="orders"} 20.0' in agent.get("/metrics")[1],
                "the lines are read, and no checkpoint is due",
            )
            broker.kill()
            assert agent.terminate() == 0
            assert "agent has stopped without a last checkpoint" in agent.log
            assert "Traceback" not in agent.log
            assert "destroyed but it is pending" not in agent.log
