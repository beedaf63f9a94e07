"""What the tests read back from Kafka, with clients of their own."""

import uuid
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

TIMEOUT_SECONDS = 20.0


def topic_partitions(servers: str) -> dict[str, int]:
    """Topic → number of partitions."""
    client = AdminClient({"bootstrap.servers": servers})
    return {name: len(topic.partitions) for name, topic in client.list_topics(timeout=TIMEOUT_SECONDS).topics.items()}


def records(servers: str, topic: str) -> list[bytes]:
    """Values of all records that a topic holds now, tombstones left out."""
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": f"test-{uuid.uuid4().hex}", "enable.auto.commit": False}
    )
    try:
        count = topic_partitions(servers)[topic]
        partitions = [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(count)]
        ends: dict[int, Any] = {
            place.partition: consumer.get_watermark_offsets(place, timeout=TIMEOUT_SECONDS)[1] for place in partitions
        }
        open_partitions = {partition for partition, end in ends.items() if end > 0}
        consumer.assign(partitions)
        values = []
        while open_partitions:
            message = consumer.poll(TIMEOUT_SECONDS)
            assert message is not None, f"{topic} must be readable to its end"
            assert message.error() is None, message.error()
            if message.value() is not None:
                values.append(message.value())
            if message.offset() + 1 >= ends[message.partition()]:
                open_partitions.discard(message.partition())
        return values
    finally:
        consumer.close()
