"""A broker inside this process: librdkafka's mock cluster, for the demo and tests. Its records end with the process.

It keeps 5 MB per partition and drops older records silently, has four partitions per topic, creates topics when their
metadata is requested, does no compaction, and has no topic administration.
"""

from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException, Producer

from broker.errors import BrokerError

PARTITION_BYTES = 5 * 1024 * 1024
START_TIMEOUT_SECONDS = 10.0


class EmbeddedBroker:
    """Context manager: the cluster lives from `__enter__` to `__exit__`."""

    def __init__(self) -> None:
        self._owner: Any = None
        self._bootstrap_servers = ""

    @property
    def bootstrap_servers(self) -> str:
        """Address of the running broker, `127.0.0.1:<port>`."""
        if self._owner is None:
            raise BrokerError("embedded broker must be started before it has an address: use `with`")
        return self._bootstrap_servers

    def start(self) -> Self:
        """Start the cluster.

        Raises:
            BrokerError: it does not answer within ten seconds.
        """
        # The cluster belongs to the client that made it; the client is used for nothing else.
        self._owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "embedded:0", "log_level": 2})
        try:
            brokers = self._owner.list_topics(timeout=START_TIMEOUT_SECONDS).brokers.values()
        except KafkaException as error:
            self._owner = None
            raise BrokerError(f"embedded broker must answer within {START_TIMEOUT_SECONDS} s, got {error}") from error
        self._bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return self

    def stop(self) -> None:
        """Stop the cluster; its records are gone."""
        self._owner = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
