"""Snapshots on a topic: complete, or an error."""

import random
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.errors import LostState, SnapshotTooLarge
from agent.metrics import Metrics
from agent.runtime.producer import Sink
from agent.runtime.snapshot_store import SnapshotStore
from broker.embedded import embedded_broker
from broker.settings import KafkaSettings
from schemas.snapshot import SnapshotName


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """An embedded broker."""
    with embedded_broker() as broker:
        yield KafkaSettings(bootstrap_servers=broker.bootstrap_servers)


@pytest.fixture
async def sink(kafka: KafkaSettings) -> AsyncIterator[Sink]:
    """A connected sink."""
    sink = Sink(kafka, Metrics())
    await sink.start()
    yield sink
    await sink.stop()


async def test_a_snapshot_is_read_back_between_others(kafka: KafkaSettings, sink: Sink) -> None:
    """Chunks of two snapshots on one partition do not mix; keys come back for the tombstones."""
    store = SnapshotStore(kafka, "state", "group", sink)
    body = bytes(range(256)) * 10_000
    keys: list[bytes] = []
    await store.write("raw", 1, b"another", 3, [])
    stored = await store.write("raw", 1, body, 3, keys)
    await store.write("other", 1, b"third", 3, [])
    assert tuple(keys) == stored.keys
    assert stored.name.generation == 3
    assert await store.read("raw", 1, stored.name) == (stored, body)


async def test_a_snapshot_that_is_not_there_is_lost_state(kafka: KafkaSettings, sink: Sink) -> None:
    """A position past the end, another hash, another group: each is an error, never an empty state."""
    store = SnapshotStore(kafka, "state2", "group", sink)
    name = (await store.write("raw", 0, b"body", 1, [])).name
    for wrong in (
        SnapshotName(name.base, name.last + 9, name.sha256, 1),
        SnapshotName(name.base, name.last, "f" * 64, 1),
    ):
        with pytest.raises(LostState):
            await store.read("raw", 0, wrong)
    with pytest.raises(LostState):
        await SnapshotStore(kafka, "state2", "another", sink).read("raw", 0, name)


async def test_a_corrupt_snapshot_is_lost_state(kafka: KafkaSettings, sink: Sink) -> None:
    """Bytes that do not hash to the name are refused."""
    store = SnapshotStore(kafka, "state3", "group", sink)
    sha256 = "a" * 64
    for partition in range(4):
        from confluent_kafka import Producer

        producer = Producer(kafka.librdkafka())
        producer.produce("state3", b"junk", key=f"group/raw/{partition}/x/{sha256}/0of1", partition=partition)
        producer.flush(10)
    with pytest.raises(LostState, match="hash"):
        await store.read("raw", 2, SnapshotName(0, 0, sha256, 1))


async def test_superseded_snapshots_are_tombstoned(kafka: KafkaSettings, sink: Sink) -> None:
    """Forgetting writes an empty record under each key."""
    from broker.topic_reader import read_topic

    store = SnapshotStore(kafka, "state4", "group", sink)
    stored = await store.write("raw", 0, b"body", 1, [])
    store.forget(0, stored.keys)
    await sink.stop()
    assert [message.key() for message in read_topic(kafka, "state4") if message.value() is None] == list(stored.keys)


async def test_what_could_not_be_read_back_is_not_written(kafka: KafkaSettings, sink: Sink) -> None:
    """A snapshot of exactly the limit is read back; one above it, compressed or not, is refused unwritten."""
    store = SnapshotStore(kafka, "state3", "group", sink, max_bytes=1_000)
    keys: list[bytes] = []
    for body in (b"x" * 1_001, random.Random(0).randbytes(1_000)):
        with pytest.raises(SnapshotTooLarge, match="raw/0 must be at most 1000 bytes, got 10"):
            await store.write("raw", 0, body, 1, keys)
    assert keys == []
    stored = await store.write("raw", 0, b"x" * 1_000, 1, keys)
    assert (await store.read("raw", 0, stored.name))[1] == b"x" * 1_000
