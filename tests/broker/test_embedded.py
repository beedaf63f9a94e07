"""The embedded broker, and what stands on it: topics, store, registry."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition

from broker import connection_check
from broker.admin import check_topics, ensure_topics
from broker.embedded import embedded_broker
from broker.errors import BrokerError
from broker.producer import write_all
from broker.registry.artifacts import open_store
from broker.registry.blob_stores import FolderStore
from broker.registry.kafka_store import KafkaStore
from broker.registry.records import Registry, read_models, write_record
from broker.settings import KafkaSettings
from broker.topic_reader import read_topic
from detector.errors import StoreError
from schemas.codec import encode
from schemas.errors import RecordError
from schemas.model_record import ModelAlias, ModelPointer
from schemas.topics import Topics

TOPICS = Topics("embedded")


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """An embedded broker with our topics."""
    with embedded_broker() as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        ensure_topics(settings, TOPICS, {"raw": 2})
        yield settings


def pointer(version: int, epoch: int = 1, sha256: str = "a") -> ModelPointer:
    """A version of system `s`."""
    return ModelPointer(
        system="s", version=version, epoch=epoch, sha256=sha256 * 64, store="kafka://", created_ms=0, labeller="h",
        size_bytes=1,
    )  # fmt: skip


def alias(version: int, epoch: int, sha256: str = "a") -> ModelAlias:
    """The champion of system `s`."""
    return ModelAlias(system="s", alias="champion", version=version, epoch=epoch, sha256=sha256 * 64, moved_ms=0)


def test_topics_are_there_without_administration(kafka: KafkaSettings) -> None:
    """Topics appear by being asked for, once; a check then finds them all."""
    assert ensure_topics(kafka, TOPICS, {"raw": 2}) == []
    check_topics(kafka, TOPICS, ["raw"])
    assert ensure_topics(kafka, TOPICS, {"raw2": 2}) == ["raw2"]


def test_commit_metadata_survives(kafka: KafkaSettings) -> None:
    """A committed offset comes back with its metadata: checkpoints work on the embedded broker."""
    consumer = Consumer(kafka.librdkafka() | {"group.id": "g"})
    consumer.commit(offsets=[TopicPartition("raw", 0, 5, "v1;base=1")], asynchronous=False)
    (found,) = consumer.committed([TopicPartition("raw", 0)], timeout=10)
    consumer.close()
    assert found.offset == 5
    assert found.metadata.startswith("v1;base=1")


def test_reading_ends_at_the_end(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record is read once, an empty topic at once, and a topic that is not readable is an error."""
    write_all(kafka, [("raw", b"%d" % number, b"x") for number in range(20)])
    assert sorted(int(message.key()) for message in read_topic(kafka, "raw")) == list(range(20))
    assert list(read_topic(kafka, TOPICS.late)) == []
    monkeypatch.setattr(connection_check, "LISTEN_SECONDS", 0.3)
    with pytest.raises(BrokerError, match="must answer"):
        list(read_topic(KafkaSettings(bootstrap_servers="127.0.0.1:1"), "raw", 0.3))


def test_blobs_come_back_whole(kafka: KafkaSettings) -> None:
    """A blob of several chunks is read by its hash; one that is absent, too large or altered is an error."""
    store = KafkaStore(kafka, TOPICS.model_chunks)
    blob = bytes(range(256)) * 5_000
    sha256 = store.put(blob)
    assert store.get(sha256, len(blob)) == blob
    with pytest.raises(StoreError, match="at most"):
        store.get(sha256, len(blob) - 1)
    with pytest.raises(StoreError, match="must hold blob 000000000000"):
        store.get("0" * 64, 10)
    write_all(kafka, [(TOPICS.model_chunks, b"f" * 64 + b"/0of1", b"junk"), (TOPICS.model_chunks, b"?", b"junk")])
    with pytest.raises(StoreError, match="hash"):
        store.get("f" * 64, 10)


def test_stores_open_by_url(kafka: KafkaSettings, tmp_path: object) -> None:
    """`kafka://` is our chunk topic, `kafka://t` that topic, anything else a folder."""
    assert open_store("kafka://", kafka, TOPICS).url == f"kafka://{TOPICS.model_chunks}"
    assert open_store("kafka://t", kafka, TOPICS).url == "kafka://t"
    assert isinstance(open_store(f"file://{tmp_path}", kafka, TOPICS), FolderStore)


def test_published_models_are_read_back(kafka: KafkaSettings) -> None:
    """Pointer and alias come back; foreign records on the topic are skipped."""
    write_all(kafka, [(TOPICS.models, b"junk", b"junk"), (TOPICS.models, b"version/s/9", b"{}")])
    write_record(kafka, TOPICS, pointer(1))
    write_record(kafka, TOPICS, alias(1, 2))
    registry = read_models(kafka, TOPICS)
    assert registry.champion("s") == pointer(1)
    assert (registry.next_version("s"), registry.next_epoch("s"), list(registry.pointers)) == (2, 3, [("s", 1)])
    assert registry.champion("other") is None


def fold(*records: ModelPointer | ModelAlias) -> Registry:
    """A registry of some records."""
    registry = Registry()
    for record in records:
        registry.add(record.key.encode(), encode(record))
    return registry


def test_the_highest_epoch_wins_in_any_order() -> None:
    """An old alias that is replayed changes nothing; a rollback is a higher epoch that names an older version."""
    records = (pointer(1), pointer(2, 3, "b"), alias(2, 4, "b"), alias(1, 5), alias(2, 4, "b"))
    assert fold(*records).champion("s") == pointer(1)
    assert fold(*reversed(records)).champion("s") == pointer(1)
    assert [one.version for one in fold(*records).versions("s")] == [1, 2]


def test_an_alias_without_its_version_serves_nothing() -> None:
    """No pointer, or one of another hash: nothing is served."""
    assert fold(alias(1, 2)).champion("s") is None
    assert fold(pointer(1), alias(1, 2, "b")).champion("s") is None


def test_a_version_never_changes() -> None:
    """A second content under one version, or a record under another's key, is refused; removal is not."""
    registry = fold(pointer(1))
    with pytest.raises(RecordError, match="must never change"):
        registry.add(b"version/s/1", encode(pointer(1, 1, "c")))
    with pytest.raises(RecordError, match="must have the key"):
        registry.add(b"version/s/2", encode(pointer(1)))
    assert registry.add(b"version/s/1", None) == "s"
    assert registry.version("s", 1) is None
