"""The demo's own use of Kafka: send lines, read the agent's output, ask for end and committed offsets."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from broker.errors import BrokerError
from broker.settings import KafkaSettings
from broker.topic_reader import EARLIEST, TopicReader
from fusionlog.demo.generator import GeneratedLine

REQUEST_SECONDS = 30.0
FLUSH_SECONDS = 60.0
TAKE_SECONDS = 0.01
PARTITION_BY_KEY = -1  # librdkafka's default: by the hash of the key
_BATCH = 500


class LineProducer:
    """Produces generated lines to a topic, in order."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._topic = topic
        self._failures: list[str] = []
        self._producer = Producer(kafka.librdkafka() | {"enable.idempotence": True, "linger.ms": 5})

    def send(self, line: GeneratedLine, partition: int = PARTITION_BY_KEY) -> None:
        """Produce one line.

        Raises:
            BrokerError: an earlier line was not acknowledged.
        """
        value, key = line.text.encode(), line.key.encode() or None
        while True:
            try:
                self._producer.produce(self._topic, value, key, partition=partition, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)
        self._check(0)

    def finish(self) -> None:
        """Wait until all lines are acknowledged.

        Raises:
            BrokerError: a line was not.
        """
        self._check(self._producer.flush(FLUSH_SECONDS))

    def _check(self, missing: int) -> None:
        if self._failures or missing:
            count = len(self._failures) + missing
            raise BrokerError(f"every line must reach {self._topic}, got {count} that did not: {self._failures[:1]}")

    def _delivered(self, error: Any, _: Message) -> None:
        if error is not None:
            self._failures.append(error.str())


def send(kafka: KafkaSettings, topic: str, lines: Sequence[GeneratedLine], between: Callable[[], None]) -> None:
    """Produce lines, each to its own partition; `between` is called every few hundred lines.

    Raises:
        BrokerError: a line was not acknowledged.
    """
    producer = LineProducer(kafka, topic)
    for number, line in enumerate(lines):
        producer.send(line, line.partition)
        if number % _BATCH == _BATCH - 1:
            between()
    producer.finish()


class Follower:
    """Reads topics from the beginning, without a group."""

    def __init__(self, kafka: KafkaSettings, topics: Sequence[str]) -> None:
        self._readers = [TopicReader(kafka, topic) for topic in topics]
        for reader in self._readers:
            reader.start(dict.fromkeys(reader.partitions(), EARLIEST))

    def take(self) -> Iterator[Message]:
        """Records since the last call.

        Raises:
            BrokerError: a topic cannot be read.
        """
        for reader in self._readers:
            while batch := reader.poll(TAKE_SECONDS):
                yield from batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers:
            reader.close()


def ends(kafka: KafkaSettings, topic: str) -> dict[int, int]:
    """End offset of each partition.

    Raises:
        BrokerError: the broker does not answer.
    """
    with TopicReader(kafka, topic) as reader:
        return {partition: end for partition, (_, end) in reader.watermarks().items()}


def committed(kafka: KafkaSettings, group: str, topic: str, partitions: int) -> dict[int, int]:
    """The committed offset of a group in each partition, 0 where there is none.

    Raises:
        BrokerError: the broker does not answer.
    """
    # Nothing is ever committed.
    consumer = Consumer(kafka.librdkafka() | {"group.id": group, "enable.auto.commit": False})
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    try:
        return {place.partition: max(0, place.offset) for place in consumer.committed(places, timeout=REQUEST_SECONDS)}
    except KafkaException as error:
        raise BrokerError(
            f"group {group} must answer within {REQUEST_SECONDS:.0f} s, got {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()
