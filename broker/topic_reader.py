"""Reading a topic from its beginning to where it ends now, by a consumer without a group."""

import time
import uuid
from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from broker.connection_check import unanswered
from broker.errors import BrokerError
from broker.settings import ANSWER_SECONDS, KafkaSettings

POLL_SECONDS = 0.5
RETRY_SECONDS = 0.1
_PASSING = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})


def read_topic(kafka: KafkaSettings, topic: str, timeout_seconds: float = 30.0) -> Iterator[Message]:
    """Every record of a small topic, partition by partition interleaved; ends at the end offsets found at the start.

    Raises:
        BrokerError: the broker does not answer, the topic is not there, or the end is not reached in time.
    """
    consumer = Consumer(
        kafka.librdkafka()
        | {
            # assign() needs no group, but librdkafka asks for a name; nothing is ever committed under it.
            "group.id": f"{kafka.client_id}-reader-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        yield from _records(consumer, kafka, topic, timeout_seconds)
    except KafkaException as error:
        raise BrokerError(f"topic {topic!r} must be readable, got {error.args[0].str()}") from error
    finally:
        consumer.close()


def _records(consumer: Consumer, kafka: KafkaSettings, topic: str, timeout_seconds: float) -> Iterator[Message]:
    deadline = time.monotonic() + timeout_seconds
    partitions = partitions_of(consumer, kafka, topic, timeout_seconds)
    ends = {}
    for partition in range(partitions):
        low, high = watermarks(consumer, topic, partition, deadline)
        if high > low:
            ends[partition] = high
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in ends])
    while ends:
        message = consumer.poll(POLL_SECONDS)
        if message is None:
            if time.monotonic() > deadline:
                raise BrokerError(f"topic {topic!r} must be read to its end in {timeout_seconds:g} s, got no further")
            continue
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            ends.pop(message.partition(), None)  # compaction or a transaction marker may have eaten the last offset
            continue
        if error is not None:
            raise BrokerError(f"topic {topic!r} must be readable, got {error.str()}")
        partition, offset = message.partition(), message.offset()
        if offset < ends.get(partition, 0):
            yield message
        if partition in ends and offset + 1 >= ends[partition]:
            del ends[partition]


def watermarks(consumer: Consumer, topic: str, partition: int, deadline: float) -> tuple[int, int]:
    """First offset of a partition, and the one after its last.

    A partition that was made a moment ago has no leader yet: that is waited for, until `deadline` (monotonic seconds).

    Raises:
        KafkaException: the broker does not answer or refuses.
    """
    while True:
        left = max(1.0, deadline - time.monotonic())
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=left)
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return low, high


def partitions_of(client: Consumer, kafka: KafkaSettings, topic: str, timeout_seconds: float) -> int:
    """Number of partitions of a topic.

    Raises:
        BrokerError: the broker does not answer, or has no such topic.
    """
    timeout_seconds = min(timeout_seconds, ANSWER_SECONDS)
    try:
        found = client.list_topics(topic, timeout=timeout_seconds).topics[topic]
    except KafkaException as error:
        raise unanswered(kafka, error, timeout_seconds) from error
    if found.error is not None or not found.partitions:
        problem = "no partitions" if found.error is None else found.error.str()
        raise BrokerError(f"topic {topic!r} must exist, got {problem}: create it with `fusionlog topics create`")
    return len(found.partitions)
