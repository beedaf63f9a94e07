"""Artifacts in Kafka: a blob is chunks on a compacted topic, keyed by the blob's hash and the chunk's number."""

from confluent_kafka import Message

from broker.errors import BrokerError
from broker.producer import write_all
from broker.settings import KafkaSettings
from broker.topic_reader import read_topic
from detector.errors import StoreError
from schemas.chunks import Assembler, cut, parse_key, sha256_of
from schemas.errors import RecordError


class KafkaStore:
    """A blob store on a compacted topic."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self.url = f"kafka://{topic}"

    def put(self, blob: bytes) -> str:
        """Write a blob; returns its SHA-256 once the broker has acknowledged every chunk.

        Raises:
            StoreError: a chunk was refused or not acknowledged in time.
        """
        try:
            write_all(self._kafka, [(self._topic, key.encode(), chunk) for key, chunk in cut(blob)])
        except BrokerError as error:
            raise StoreError(f"store {self.url} must take the blob, got {error}") from error
        return sha256_of(blob)

    def get(self, sha256: str, max_bytes: int) -> bytes:
        """The blob of that hash, verified.

        Raises:
            StoreError: it is absent, larger than `max_bytes`, corrupt, or the broker does not answer.
        """
        assembler = Assembler(sha256, max_bytes)
        try:
            for message in read_topic(self._kafka, self._topic):
                blob = _take(assembler, message)
                if blob is not None:
                    return blob
        except (BrokerError, RecordError) as error:
            raise StoreError(f"store {self.url} must hold blob {sha256[:12]} whole, got {error}") from error
        raise StoreError(f"store {self.url} must hold blob {sha256[:12]}, got no or not all chunks of it")


def _take(assembler: Assembler, message: Message) -> bytes | None:
    value = message.value()
    if value is None:
        return None
    try:
        parse_key(message.key())
    except RecordError:
        return None  # a foreign record must not keep models from loading
    return assembler.add(message.key(), value)
