"""Which trainer may publish: a lease on the models topic, so that two never write the same version of a system.

Each trainer appends a claim to partition 0 and reads the topic; of the claims that have not expired, the first one
holds the lease. This needs no transactions and works on the embedded broker, too.
"""

import time
import uuid
from typing import Self

import structlog

from broker.errors import BrokerError
from broker.producer import WRITE_SECONDS, write_all
from broker.settings import KafkaSettings
from broker.topic_reader import read_topic
from schemas.codec import decode, encode
from schemas.errors import RecordError
from schemas.model_record import PublishLease
from schemas.topics import Topics

LEASE_SECONDS = 120.0
MARGIN_SECONDS = 40.0
"""A holder writes nothing in the lease's last seconds: longer than a delivery may take, plus some clock skew."""
RETRY_SECONDS = 1.0
_PARTITION = 0


class Lease:
    """Context manager: inside, this process alone may publish for the system.

    Args:
        topics: our topics; claims stand on the models topic.
        wait_seconds: how long to wait for another holder to finish.
        lease_seconds: how long a claim holds; the claim of a trainer that died is ignored after it.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Topics,
        system: str,
        wait_seconds: float = LEASE_SECONDS + 30.0,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._kafka = kafka
        self._topic = topics.models
        self._system = system
        self._owner = uuid.uuid4().hex
        self._wait_seconds = wait_seconds
        self._lease_seconds = lease_seconds
        self._expires_ms = 0

    def __enter__(self) -> Self:
        deadline = time.monotonic() + self._wait_seconds
        while True:
            try:
                holder = self._claim()
            except BaseException:
                self._release()
                raise
            if holder == self._owner:
                return self
            self._release()
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"another trainer ({holder}) is publishing for {self._system!r}: wait for it, or train again later"
                )
            time.sleep(RETRY_SECONDS)

    def __exit__(self, *error: object) -> None:
        self._release()

    def check(self) -> None:
        """Make sure that what is written now is written under the lease.

        Raises:
            BrokerError: it has expired, so another trainer may be publishing.
        """
        left = (self._expires_ms - _now_ms()) / 1000
        if left < min(MARGIN_SECONDS, self._lease_seconds / 3):
            raise BrokerError(f"publishing {self._system!r} must end within {self._lease_seconds:g} s: train again")

    def _claim(self) -> str:
        """Append a claim and read the topic; the owner that holds the lease."""
        self._expires_ms = _now_ms() + int(self._lease_seconds * 1000)
        claim = PublishLease(system=self._system, owner=self._owner, expires_ms=self._expires_ms)
        self._write(claim.key, encode(claim))
        claims: dict[str, tuple[int, PublishLease]] = {}
        prefix = f"lease/{self._system}/"
        for message in read_topic(self._kafka, self._topic):
            key = (message.key() or b"").decode("utf-8", "replace")
            if message.partition() != _PARTITION or not key.startswith(prefix):
                continue
            claims.pop(key, None)
            if message.value() is None:
                continue
            try:
                claims[key] = (message.offset(), decode(message.value(), PublishLease))
            except RecordError as error:
                structlog.get_logger(__name__).warning("claim ignored", offset=message.offset(), error=str(error))
        held = [(offset, found.owner) for offset, found in claims.values() if found.expires_ms > _now_ms()]
        return min(held)[1] if held else ""

    def _release(self) -> None:
        try:
            self._write(f"lease/{self._system}/{self._owner}", None)
        except BrokerError as error:
            # No failure: the claim expires by itself.
            structlog.get_logger(__name__).warning("claim not withdrawn", system=self._system, error=str(error))

    def _write(self, key: str, value: bytes | None) -> None:
        seconds = min(WRITE_SECONDS, self._lease_seconds)
        write_all(self._kafka, [(self._topic, key.encode(), value)], seconds, _PARTITION)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
