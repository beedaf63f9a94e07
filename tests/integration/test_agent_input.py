"""What the agent does with records it cannot read, on real input paths."""

import hashlib
import random
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer

from detector.testing import NORMAL_LINES, tiny_files
from schemas.dead_letter import DeadLetter
from tests.integration.agent_harness import AgentProcess, Bench, wait_until

START_MS = 1_700_000_000_000
POISON = (b"\xff\xfe\xfa", b"", b"   ", b'{"message": ', b"{" * 5_000, b'{"other": 1}', None)


def test_poison_goes_to_the_dead_letters_while_good_lines_flow(bench: Bench, tmp_path: Path) -> None:
    """Every unreadable record is kept raw with the place it came from; every good line is in a window."""
    bench.publish(tiny_files(), 1)
    lines: list[tuple[int, bytes | None, int]] = []
    for number in range(200):
        lines.append((number % 2, NORMAL_LINES[number % 4].replace("17", str(number)).encode(), START_MS + number))
        lines.append((number % 2, POISON[number % len(POISON)], START_MS + number))
    lines += [(partition, b"the end", START_MS + 10_000_000) for partition in range(2)]
    bench.produce(lines)
    with AgentProcess(bench, tmp_path) as agent:
        wait_until(bench.all_committed, "everything committed")
        _, metrics = agent.get("/metrics")
        assert agent.terminate() == 0, agent.log
    raw = {(message.partition(), message.offset()): message.value() for message in bench.read(bench.raw)}
    dead = {}
    for message in bench.read(bench.topics.dlq):
        letter = DeadLetter.from_headers(message.headers())
        assert letter.topic == bench.raw
        assert (message.value() or None) == (raw[letter.partition, letter.offset] or None)
        dead[letter.partition, letter.offset] = letter.reason
    assert len(dead) == 200
    assert set(dead.values()) == {"undecodable", "empty", "bad_json", "too_deep", "no_message", "tombstone"}
    windowed = {
        (record["partition"], offset) for record in bench.records(bench.topics.windows) for offset in record["offsets"]
    }
    assert windowed | dead.keys() == {place for place, value in raw.items() if value != b"the end"}
    assert 'fusionlog_dlq_records_total{reason="bad_json",system="orders"}' in metrics


@pytest.mark.kafka
def test_a_10_mb_line_is_cut_into_the_dead_letters(kafka: str, tmp_path: Path) -> None:
    """A record above every limit leaves a dead letter that says its size and hash, and the lines behind it go on."""
    bench = Bench(kafka, uuid.uuid4().hex[:12], raw_config={"max.message.bytes": "20000000"})
    bench.publish(tiny_files(), 1)
    huge = random.Random(0).randbytes(10_000_000)
    producer = Producer(bench.kafka.librdkafka() | {"message.max.bytes": 20_000_000})
    producer.produce(bench.raw, huge, key=b"the key", partition=0, timestamp=START_MS)
    assert producer.flush(60) == 0
    bench.produce([(0, NORMAL_LINES[0].encode(), START_MS), (0, b"the end", START_MS + 10_000_000)])
    with AgentProcess(bench, tmp_path) as agent:
        wait_until(bench.all_committed, "everything committed")
        assert agent.terminate() == 0, agent.log
    (message,) = bench.read(bench.topics.dlq)
    headers = dict(message.headers())
    assert DeadLetter.from_headers(message.headers()).reason == "oversize"
    assert (message.key(), message.value()) == (b"the key", huge[: len(message.value())])
    assert headers["fusionlog.dlq.original.bytes"] == b"10000000"
    assert headers["fusionlog.dlq.original.sha256"].decode() == hashlib.sha256(huge).hexdigest()
    (window,) = bench.records(bench.topics.windows)
    assert window["offsets"] == [1]


def test_a_broker_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    """Without a broker the agent ends with exit 1 and says which address did not answer."""

    class Nowhere(Bench):
        def __init__(self) -> None:
            from broker.settings import KafkaSettings
            from schemas.topics import Topics

            self.kafka, self.topics = KafkaSettings(bootstrap_servers="127.0.0.1:1"), Topics("none")
            self.raw, self.group = "raw", "group"

    with AgentProcess(Nowhere(), tmp_path) as agent:
        assert agent.wait() == 1
        assert "127.0.0.1:1 must answer" in agent.log
        assert "Traceback" not in agent.log


@pytest.mark.kafka
def test_missing_topics_are_named(kafka: str, tmp_path: Path) -> None:
    """On a broker without our topics the agent ends with exit 1 and says how to create them."""
    bench = Bench(kafka, uuid.uuid4().hex[:12])
    with AgentProcess(bench, tmp_path, topic_prefix="absent") as agent:
        assert agent.wait() == 1
        assert "run `fusionlog topics create`" in agent.log
