"""What the demo itself does with Kafka: send lines, and follow the agent's topics."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

from confluent_kafka import Message

from broker.settings import KafkaSettings
from broker.topic_reader import EARLIEST, TopicReader
from fusionlog.demo.generator import GeneratedLine
from testkit.kafka_io import Kafka, Row

TAKE_SECONDS = 0.01
_BATCH = 500


def send(kafka: Kafka, topic: str, lines: Sequence[GeneratedLine], between: Callable[[], None]) -> None:
    """Produce lines, each to its partition and in order; `between` is called every few hundred lines.

    Raises:
        TestkitError: a line was not acknowledged.
    """

    def rows() -> Iterator[Row]:
        for number, line in enumerate(lines, 1):
            yield Row(line.partition, line.text.encode(), key=line.key.encode() or None)
            if number % _BATCH == 0:
                between()

    kafka.produce(topic, rows())


class Follower:
    """Reads topics from their beginning on, without a group."""

    def __init__(self, kafka: KafkaSettings, topics: Sequence[str]) -> None:
        self._readers = [TopicReader(kafka, topic) for topic in topics]
        for reader in self._readers:
            reader.start(dict.fromkeys(reader.partitions(), EARLIEST))

    def take(self) -> Iterator[Message]:
        """Records that have come since the last call.

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
