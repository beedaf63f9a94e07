"""What the demo itself does with Kafka: send lines, follow our topics, read where the agent has got to."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from broker.settings import KafkaSettings
from broker.topic_reader import EARLIEST, TopicReader
from fusionlog.demo.errors import DemoError
from fusionlog.demo.generator import GeneratedLine

REQUEST_SECONDS = 30.0
FLUSH_SECONDS = 60.0
TAKE_SECONDS = 0.01
_BATCH = 500


def send(kafka: KafkaSettings, topic: str, lines: Sequence[GeneratedLine], between: Callable[[], None]) -> None:
    """Produce lines, each to its partition and in order; `between` is called every few hundred lines.

    Raises:
        DemoError: a line was not acknowledged.
    """
    failures: list[str] = []

    def delivered(error: Any, _: Message) -> None:
        if error is not None:
            failures.append(error.str())

    producer = Producer(kafka.librdkafka() | {"enable.idempotence": True, "linger.ms": 5})
    for number, line in enumerate(lines):
        value, key = line.text.encode(), line.key.encode() or None
        while True:
            try:
                producer.produce(topic, value, key, partition=line.partition, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        if number % _BATCH == _BATCH - 1:
            between()
    left = producer.flush(FLUSH_SECONDS)
    if failures or left:
        raise DemoError(f"every line must reach {topic}, got {len(failures) + left} that did not: {failures[:1]}")


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


def ends(kafka: KafkaSettings, topic: str) -> dict[int, int]:
    """How many records each partition has taken.

    Raises:
        BrokerError: the broker does not answer.
    """
    with TopicReader(kafka, topic) as reader:
        return {partition: end for partition, (_, end) in reader.watermarks().items()}


def committed(kafka: KafkaSettings, group: str, topic: str, partitions: int) -> dict[int, int]:
    """The position that a group has committed in each partition, 0 where there is none.

    Raises:
        DemoError: the broker does not answer.
    """
    # Nothing is ever committed.
    consumer = Consumer(kafka.librdkafka() | {"group.id": group, "enable.auto.commit": False})
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    try:
        return {place.partition: max(0, place.offset) for place in consumer.committed(places, timeout=REQUEST_SECONDS)}
    except KafkaException as error:
        raise DemoError(
            f"group {group} must answer within {REQUEST_SECONDS:.0f} s, got {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()
