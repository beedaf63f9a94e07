"""What the checker judges is read from topics, the snapshot that a committed position names included."""

import zlib
from collections.abc import Iterator

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from broker.admin import ensure_topics
from broker.embedded import embedded_broker
from broker.producer import write_all
from broker.settings import KafkaSettings
from detector.system import WindowSpec
from detector.windowing.cutter import WindowCutter
from schemas.alert import ModelReference
from schemas.chunks import cut, sha256_of
from schemas.closed_window import ClosedWindow
from schemas.codec import encode
from schemas.dead_letter import DeadLetter
from schemas.late_line import LateLine
from schemas.snapshot import SnapshotName
from schemas.topics import Topics
from testkit.checker import OpenLines, check
from testkit.errors import TestkitError
from testkit.evidence import read_evidence
from testkit.kafka_io import Kafka, Row
from testkit.reference_windows import session_rule

pytestmark = pytest.mark.usefixtures("plain_producers")
TOPICS = Topics("evidence")
GROUP = "evidence-group"


@pytest.fixture(scope="module")
def kafka() -> Iterator[Kafka]:
    """An embedded broker with our topics."""
    with embedded_broker() as broker:
        ensure_topics(KafkaSettings(bootstrap_servers=broker.bootstrap_servers), TOPICS, {"raw": 4, "broken": 4})
        yield Kafka(broker.bootstrap_servers)


def snapshot() -> bytes:
    """A snapshot as the agent frames it, with one open window of key `a` that holds offset 1."""
    cutter = WindowCutter("orders", WindowSpec(kind="session", idle_seconds=10), "raw", 0)
    cutter.add(1, 1_001, ["a"], "event", "order=a")
    body = msgspec.msgpack.encode([1, "fingerprint", cutter.snapshot(), []])
    return zlib.compress(msgspec.msgpack.encode(["detect", 1, 3, body]))


def put_snapshot(kafka: Kafka, blob: bytes, partition: int) -> SnapshotName:
    """Write a snapshot's chunks to the state topic."""
    first = kafka.ends(TOPICS.state)[partition]
    chunks = [(TOPICS.state, f"{GROUP}/raw/{partition}/run/{key}".encode(), chunk) for key, chunk in cut(blob)]
    write_all(kafka.settings, chunks, partition=partition)
    return SnapshotName(first, first + len(chunks) - 1, sha256_of(blob), 1)


def commit(kafka: Kafka, group: str, topic: str, partition: int, offset: int, name: SnapshotName) -> None:
    """Commit for a group that never had a member, which `Kafka.commit` would take seconds to join."""
    consumer = Consumer(kafka.settings.librdkafka() | {"group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, partition, offset, name.metadata())], asynchronous=False)
    consumer.close()


def test_every_topic_and_the_named_snapshot_are_read(kafka: Kafka) -> None:
    """Each line of the raw topic is found where it is: closed, open, late, dead."""
    kafka.produce("raw", [Row(0, b"order=b", 1_000), Row(0, b"order=a", 1_001), Row(0, b"\xff order=d", 1_002)])
    closed = ClosedWindow(
        id="w", system="orders", kind="session", key="b", topic="raw", partition=0, offsets=(0,), event_hash="h",
        start_ms=0, end_ms=1, closed_by="watermark", score=0.1, threshold=0.5, anomalous=False,
        model=ModelReference(name="orders", version=1, sha256="a" * 64),
    )  # fmt: skip
    late = LateLine(
        system="orders", key="z", topic="raw", partition=0, offset=9, event_time_ms=0, watermark_ms=1, template_id="t",
        text="x",
    )  # fmt: skip
    headers = DeadLetter("undecodable", "bytes", "raw", 0, 2, 0, "0.1").headers()
    write_all(kafka.settings, [(TOPICS.windows, b"w", encode(closed)), (TOPICS.late, b"z", encode(late))])
    kafka.produce(TOPICS.dlq, [Row(0, b"\xff order=d", headers=headers)])
    commit(kafka, GROUP, "raw", 0, 3, put_snapshot(kafka, snapshot(), 0))

    evidence = read_evidence(kafka, TOPICS, "raw", GROUP)

    assert evidence.open == [OpenLines(0, "a", ((1, 0),))]
    assert evidence.late == {(0, "z", (9, 0))}
    assert evidence.dead == {(0, 2)}
    assert (evidence.committed[0], evidence.ends[0]) == (3, 3)
    assert check(evidence, session_rule(r"order=(\w+)", 10_000)).problems == {}


@pytest.mark.parametrize("blob", [zlib.compress(msgspec.msgpack.encode(["detect", 1, 3, b""])), None])
def test_a_snapshot_that_cannot_be_judged_is_an_error(kafka: Kafka, blob: bytes | None) -> None:
    """A named snapshot that is absent, or holds no windows: never an empty set of open windows."""
    name = SnapshotName(900, 900, "0" * 64, 1) if blob is None else put_snapshot(kafka, blob, 1)
    commit(kafka, f"{GROUP}-{name.sha256[:4]}", "broken", 1, 0, name)
    with pytest.raises(TestkitError, match="snapshot"):
        read_evidence(kafka, TOPICS, "broken", f"{GROUP}-{name.sha256[:4]}")
