"""What tests, bench and storm do with a broker: create topics, produce with acknowledgements, read topics whole."""

import asyncio
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as AioPartition
from aiokafka.errors import KafkaError
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from broker.settings import KafkaSettings
from broker.topic_reader import TopicReader, read_topic
from testkit.errors import TestkitError
from testkit.lines import Place, RecordedLine
from testkit.processes import wait_until
from testkit.reference_windows import TopicLine

RAW_TOPIC_CONFIG = {
    # Recorded logs are years old: with a retention they would be gone before the first fetch.
    "retention.ms": "-1",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "cleanup.policy": "delete",
}
REQUEST_SECONDS = 30.0
FLUSH_SECONDS = 120.0
SEND_SECONDS = 0.5


class Row(NamedTuple):
    """A record to produce; time 0 is now."""

    partition: int
    value: bytes | None
    time_ms: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class Committed(NamedTuple):
    """A committed position and what its metadata says; offset -1 where nothing is committed."""

    offset: int
    metadata: str


class Kafka:
    """A broker, seen from a test.

    Args:
        servers: its address, or settings for a secured one.
    """

    def __init__(self, servers: str | KafkaSettings) -> None:
        self.settings = servers if isinstance(servers, KafkaSettings) else KafkaSettings(bootstrap_servers=servers)
        self.servers = self.settings.bootstrap_servers
        self._producer: Producer | None = None

    def create_raw_topic(self, name: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
        """Create a topic that keeps lines of any age.

        Raises:
            TestkitError: the broker refuses.
        """
        settings = {**RAW_TOPIC_CONFIG, **(config or {})}
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=settings)
        admin = AdminClient(self.settings.librdkafka())  # held by name: its answers go with it
        try:
            admin.create_topics([topic])[name].result(REQUEST_SECONDS)
        except KafkaException as error:
            raise TestkitError(f"topic {name} must be creatable on {self.servers}, got {error}") from error

    def produce(self, topic: str, rows: Iterable[Row]) -> list[Place]:
        """Produce records, each to its partition and in order; the place of each.

        Raises:
            TestkitError: a record was not acknowledged.
        """
        if self._producer is None:
            self._producer = Producer(
                self.settings.librdkafka() | {"enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4"}
            )
        producer = self._producer
        places: dict[int, Place] = {}
        sent = 0
        for row in rows:
            delivered = partial(_note, places, sent)
            while True:
                try:
                    producer.produce(
                        topic,
                        row.value,
                        row.key,
                        partition=row.partition,
                        timestamp=row.time_ms,
                        headers=list(row.headers),
                        on_delivery=delivered,
                    )
                    break
                except BufferError:
                    producer.poll(SEND_SECONDS)
            producer.poll(0)
            sent += 1
        producer.flush(FLUSH_SECONDS)
        if len(places) != sent:
            raise TestkitError(f"every record must reach topic {topic}, got {len(places)} of {sent} acknowledged")
        return [places[number] for number in range(sent)]

    def produce_lines(self, topic: str, lines: Sequence[RecordedLine], partitions: int) -> list[Place]:
        """Produce lines with their own time stamps, a key always into the same partition; the place of each."""
        return self.produce(
            topic, (Row(zlib.crc32(line.key) % partitions, line.value, line.time_ms, line.key) for line in lines)
        )

    def ends(self, topic: str) -> dict[int, int]:
        """End offset of each partition."""
        with TopicReader(self.settings, topic, answer_seconds=REQUEST_SECONDS) as reader:
            return {partition: end for partition, (_, end) in reader.watermarks().items()}

    def read(self, topic: str) -> list[Message]:
        """Every record of a topic, partition by partition in the order of offsets.

        Raises:
            BrokerError: the broker does not answer, or the topic is absent.
        """
        messages = list(read_topic(self.settings, topic))
        return sorted(messages, key=lambda message: (message.partition() or 0, message.offset() or 0))

    def read_json(self, topic: str) -> list[Any]:
        """Every record of a topic, as JSON, tombstones left out."""
        return [json.loads(value) for message in self.read(topic) if (value := message.value()) is not None]

    def read_raw(self, topic: str) -> list[TopicLine]:
        """Every record of a raw topic, as `reference_windows` takes it."""
        return [
            TopicLine(message.partition() or 0, message.offset() or 0, message.timestamp()[1], message.value() or b"")
            for message in self.read(topic)
        ]

    def committed(self, group: str, topic: str) -> dict[int, Committed]:
        """What a group has committed in each partition of a topic.

        Raises:
            TestkitError: the group's coordinator does not answer.
        """
        partitions = list(self.ends(topic))

        async def fetch() -> dict[int, Committed]:
            # aiokafka: confluent's committed() shows bytes beyond the metadata's end.
            consumer = AIOKafkaConsumer(**self.settings.aiokafka(), group_id=group, enable_auto_commit=False)
            await consumer.start()
            try:
                places = [AioPartition(topic, number) for number in partitions]
                found = await consumer._coordinator.fetch_committed_offsets(places)  # noqa: SLF001
            finally:
                await consumer.stop()
            # The embedded broker keeps the end mark of librdkafka's string.
            return {
                place.partition: Committed(found[place].offset, found[place].metadata.rstrip("\0"))
                if place in found
                else Committed(-1, "")
                for place in places
            }

        try:
            return asyncio.run(asyncio.wait_for(fetch(), REQUEST_SECONDS))
        except (KafkaError, TimeoutError) as error:
            raise TestkitError(f"group {group} must have a coordinator that answers, got {error!r}") from error

    def commit(self, group: str, topic: str, positions: Mapping[int, tuple[int, str]]) -> None:
        """Set committed offsets and metadata, as a member of the group: the embedded broker accepts no other."""
        consumer = Consumer(
            self.settings.librdkafka() | {"group.id": group, "enable.auto.commit": False, "session.timeout.ms": 6000}
        )
        try:
            consumer.subscribe([topic])
            wait_until(lambda: consumer.poll(0.5) is None and consumer.assignment(), "joining the group")
            places = [TopicPartition(topic, number, *position) for number, position in positions.items()]
            consumer.commit(offsets=places, asynchronous=False)
        finally:
            consumer.close()


def _note(places: dict[int, Place], number: int, error: Any, message: Message) -> None:
    """Keep the place of an acknowledged record."""
    if error is None:
        places[number] = Place(message.partition() or 0, message.offset() or 0)


def total(positions: Iterable[int]) -> int:
    """Sum of positions, 0 for those that are not set."""
    return sum(max(0, position) for position in positions)
