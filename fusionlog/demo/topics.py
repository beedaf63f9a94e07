"""What the demo itself does with Kafka: send lines, follow our topics, read where the agent has got to."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, Producer, TopicPartition

from broker.settings import KafkaSettings
from broker.topic_reader import partitions_of
from fusionlog.demo.errors import DemoError
from fusionlog.demo.generator import GeneratedLine

REQUEST_SECONDS = 30.0
FLUSH_SECONDS = 60.0
_BATCH = 500
_EOF = -191  # librdkafka's code for "nothing more here now", which is no error


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
        self._consumer = _consumer(kafka, f"{kafka.client_id}-demo-follower")
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in topics
                for partition in range(partitions_of(self._consumer, kafka, topic, REQUEST_SECONDS))
            ]
        )

    def take(self) -> Iterator[Message]:
        """Records that have come since the last call.

        Raises:
            DemoError: a topic cannot be read.
        """
        while batch := self._consumer.consume(_BATCH, timeout=0.02):
            for message in batch:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() != _EOF:
                    raise DemoError(f"topic {message.topic()} must be readable, got {error.str()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()


def ends(kafka: KafkaSettings, topic: str) -> dict[int, int]:
    """How many records each partition has taken.

    Raises:
        DemoError: the broker does not answer.
    """
    consumer = _consumer(kafka, f"{kafka.client_id}-demo-ends")
    try:
        return {
            partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=REQUEST_SECONDS)[1]
            for partition in range(partitions_of(consumer, kafka, topic, REQUEST_SECONDS))
        }
    except KafkaException as error:
        raise DemoError(
            f"topic {topic} must answer within {REQUEST_SECONDS:.0f} s, got {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()


def committed(kafka: KafkaSettings, group: str, topic: str, partitions: int) -> dict[int, int]:
    """The position that a group has committed in each partition, 0 where there is none.

    Raises:
        DemoError: the broker does not answer.
    """
    consumer = _consumer(kafka, group)
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    try:
        return {place.partition: max(0, place.offset) for place in consumer.committed(places, timeout=REQUEST_SECONDS)}
    except KafkaException as error:
        raise DemoError(
            f"group {group} must answer within {REQUEST_SECONDS:.0f} s, got {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()


def _consumer(kafka: KafkaSettings, group: str) -> Consumer:
    # A group's name is needed for asking; nothing is ever committed.
    return Consumer(kafka.librdkafka() | {"group.id": group, "enable.auto.commit": False, "fetch.queue.backoff.ms": 10})
