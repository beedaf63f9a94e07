"""What the benchmark itself does with Kafka: create topics, produce lines with their times, read topics whole."""

import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

from testkit.errors import TestkitError
from testkit.lines import RawLine
from testkit.reference_windows import Record

RAW_TOPIC_CONFIG = {
    # The logs are of 2005 and 2008: with a retention they would be gone before the first fetch.
    "retention.ms": "-1",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "cleanup.policy": "delete",
}
REQUEST_SECONDS = 30.0
FLUSH_SECONDS = 120.0
READ_SECONDS = 0.2
IDLE_READ_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in its topic."""

    partition: int
    offset: int


class Kafka:
    """A broker, seen from the benchmark."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})

    def create_raw_topic(self, name: str, partitions: int) -> None:
        """Create a topic that keeps lines of any age.

        Raises:
            TestkitError: the broker refuses.
        """
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=RAW_TOPIC_CONFIG)
        for future in self._admin.create_topics([topic]).values():
            try:
                future.result(REQUEST_SECONDS)
            except confluent_kafka.KafkaException as error:
                raise TestkitError(f"topic {name} cannot be created on {self.servers}: {error}") from error

    def produce(self, topic: str, lines: Sequence[RawLine], partitions: int) -> list[Place]:
        """Produce the lines with their own time stamps, a key always into the same partition; where each one stands."""
        places: list[Place | None] = [None] * len(lines)
        producer = self._producer()
        for index, line in enumerate(lines):
            self._send(
                producer,
                topic,
                zlib.crc32(line.key) % partitions,
                line.key,
                line.value,
                line.time_ms,
                (
                    places,
                    index,
                ),
            )
        return _delivered(producer, places, topic)

    def produce_ends(self, topic: str, partitions: int, time_ms: int) -> list[Place]:
        """End each partition with a keyless record that moves its watermark to `time_ms`."""
        places: list[Place | None] = [None] * partitions
        producer = self._producer()
        for partition in range(partitions):
            self._send(producer, topic, partition, None, b"end of the recording", time_ms, (places, partition))
        return _delivered(producer, places, topic)

    def ends(self, topic: str) -> dict[int, int]:
        """End offset of each partition; empty while the topic is not there."""
        consumer = self._consumer("fusionlog-bench-reader")
        try:
            metadata = consumer.list_topics(topic, timeout=REQUEST_SECONDS).topics[topic]
            if metadata.error is not None:
                return {}
            places = [confluent_kafka.TopicPartition(topic, partition) for partition in metadata.partitions]
            return {
                place.partition: consumer.get_watermark_offsets(place, timeout=REQUEST_SECONDS)[1] for place in places
            }
        finally:
            consumer.close()

    def committed(self, group: str, topic: str, partitions: int) -> dict[int, int]:
        """Committed position of each partition; 0 where there is none.

        Raises:
            TestkitError: the group's coordinator does not answer.
        """
        places = [confluent_kafka.TopicPartition(topic, partition) for partition in range(partitions)]
        deadline = time.monotonic() + REQUEST_SECONDS
        consumer = self._consumer(group)
        try:
            while True:
                try:
                    found = consumer.committed(places, timeout=REQUEST_SECONDS)
                    return {place.partition: max(0, place.offset) for place in found}
                except confluent_kafka.KafkaException as error:
                    # A coordinator that has just started or moved refuses for a moment.
                    if time.monotonic() > deadline:
                        raise TestkitError(f"group {group} must have a coordinator that answers: {error}") from error
                    time.sleep(READ_SECONDS)
        finally:
            consumer.close()

    def read(self, topic: str) -> list[confluent_kafka.Message]:
        """Every record of a topic, partition by partition in the order of offsets.

        Raises:
            TestkitError: the broker stops to answer before the end.
        """
        ends = {partition: end for partition, end in self.ends(topic).items() if end > 0}
        consumer = self._consumer("fusionlog-bench-reader")
        messages: list[confluent_kafka.Message] = []
        try:
            start = confluent_kafka.OFFSET_BEGINNING
            consumer.assign([confluent_kafka.TopicPartition(topic, partition, start) for partition in ends])
            open_ends = dict(ends)
            deadline = time.monotonic() + IDLE_READ_SECONDS
            while open_ends:
                batch = consumer.consume(1000, timeout=READ_SECONDS)  # waits for all 1,000 or for the time-out
                if batch:
                    deadline = time.monotonic() + IDLE_READ_SECONDS
                elif time.monotonic() > deadline:
                    raise TestkitError(f"topic {topic} must be readable to {ends}, got no record for 30 s")
                for message in batch:
                    _take(message, messages, open_ends)
        finally:
            consumer.close()
        return sorted(messages, key=lambda message: (message.partition() or 0, message.offset() or 0))

    def read_raw(self, topic: str) -> list[Record]:
        """Every record of a raw topic, as the independent cut takes it."""
        return [
            Record(message.partition(), message.offset(), message.timestamp()[1], message.value() or b"")
            for message in self.read(topic)
        ]

    def _send(
        self,
        producer: confluent_kafka.Producer,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes,
        time_ms: int,
        slot: tuple[list[Place | None], int],
    ) -> None:
        places, index = slot

        def delivered(error: Any, message: confluent_kafka.Message) -> None:
            if error is None:
                places[index] = Place(message.partition(), message.offset())

        while True:
            try:
                producer.produce(topic, value, key, partition=partition, timestamp=time_ms, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.5)
        producer.poll(0)

    def _producer(self) -> confluent_kafka.Producer:
        return confluent_kafka.Producer(
            {
                "bootstrap.servers": self.servers,
                "enable.idempotence": True,
                "linger.ms": 20,
                "compression.type": "lz4",
                "log_level": 2,  # a broker that has just started makes it retry, which is no news
            }
        )

    def _consumer(self, group: str) -> confluent_kafka.Consumer:
        return confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": group,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.queue.backoff.ms": 2,
                "log_level": 2,
            }
        )


def _take(message: confluent_kafka.Message, messages: list[confluent_kafka.Message], open_ends: dict[int, int]) -> None:
    """Keep a record, or note that its partition is read to the end (compaction may leave the last offsets empty)."""
    error = message.error()
    partition = message.partition()
    if error is None:
        messages.append(message)
        if (message.offset() or 0) + 1 >= open_ends.get(partition, 0):
            open_ends.pop(partition, None)
    elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:  # noqa: SLF001 (the public name of the code)
        open_ends.pop(partition, None)
    else:
        raise TestkitError(f"topic {message.topic()} cannot be read: {error}")


def _delivered(producer: confluent_kafka.Producer, places: Iterable[Place | None], topic: str) -> list[Place]:
    producer.flush(FLUSH_SECONDS)
    found = list(places)
    kept = [place for place in found if place is not None]
    if len(kept) != len(found):
        raise TestkitError(f"every line must reach topic {topic}, got {len(kept)} of {len(found)} acknowledged")
    return kept


def total(positions: Mapping[int, int]) -> int:
    """Sum over partitions."""
    return sum(positions.values())
