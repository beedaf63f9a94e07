"""A broker inside this process: librdkafka's mock cluster, for the demo and tests. Its records end with the process.

It keeps 5 MB per partition and drops older records silently, has four partitions per topic, creates topics when their
metadata is requested, does no compaction, and has no topic administration.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException, Producer

from broker.errors import BrokerError
from broker.settings import KafkaSettings

PARTITION_BYTES = 5 * 1024 * 1024
START_TIMEOUT_SECONDS = 10.0


@contextmanager
def embedded_broker() -> Iterator[KafkaSettings]:
    """Run the cluster while the context is open; how to reach it.

    Raises:
        BrokerError: it does not answer within ten seconds.
    """
    # The cluster belongs to the client that made it; the client is used for nothing else.
    owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "embedded:0", "log_level": 2})
    try:
        brokers = owner.list_topics(timeout=START_TIMEOUT_SECONDS).brokers.values()
    except KafkaException as error:
        raise BrokerError(f"embedded broker must answer within {START_TIMEOUT_SECONDS} s, got {error}") from error
    try:
        yield KafkaSettings(bootstrap_servers=",".join(f"{broker.host}:{broker.port}" for broker in brokers))
    finally:
        del owner  # ends the cluster, also where an error's traceback keeps this frame
