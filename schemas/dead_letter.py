"""Dead letters: raw key and value of a record that could not be read, and headers with the reason (after KIP-1034)."""

from dataclasses import dataclass

from schemas.errors import RecordError

MESSAGE_CHARACTERS = 256
_PREFIX = "fusionlog.dlq."


@dataclass(frozen=True)
class DeadLetter:
    """Why a record was rejected, and its place. `timestamp_ms` is the record's Kafka time stamp."""

    reason: str
    message: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    app_version: str

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers of the dead letter; the record's own headers are kept beside them."""
        fields = {
            "error.class": self.reason,
            "error.message": self.message[:MESSAGE_CHARACTERS],
            "source.topic": self.topic,
            "source.partition": self.partition,
            "source.offset": self.offset,
            "source.timestamp_ms": self.timestamp_ms,
            "app.version": self.app_version,
        }
        return [(_PREFIX + name, str(value).encode()) for name, value in fields.items()]

    @classmethod
    def from_headers(cls, headers: list[tuple[str, bytes]]) -> "DeadLetter":
        """Read the headers back.

        Raises:
            RecordError: a header is missing or a number is not one.
        """
        found = {
            name.removeprefix(_PREFIX): value.decode("utf-8", "replace")
            for name, value in headers
            if name.startswith(_PREFIX)
        }
        try:
            return cls(
                reason=found["error.class"],
                message=found["error.message"],
                topic=found["source.topic"],
                partition=int(found["source.partition"]),
                offset=int(found["source.offset"]),
                timestamp_ms=int(found["source.timestamp_ms"]),
                app_version=found["app.version"],
            )
        except (KeyError, ValueError) as error:
            raise RecordError(f"not a dead letter: header {error}") from error
