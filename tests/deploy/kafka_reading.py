"""What the tests of the deployment read back from Kafka."""

from broker.settings import KafkaSettings
from broker.topic_reader import TopicReader, read_topic


def topic_partitions(servers: str, topic: str) -> int:
    """Number of partitions of a topic."""
    with TopicReader(KafkaSettings(bootstrap_servers=servers), topic) as reader:
        return len(reader.partitions())


def records(servers: str, topic: str) -> list[bytes]:
    """Values of all records that a topic holds now, tombstones left out."""
    messages = read_topic(KafkaSettings(bootstrap_servers=servers), topic)
    return [value for message in messages if (value := message.value()) is not None]
