"""Dead letters: raw key and value of a record that could not be read, and headers with the reason (after KIP-1034)."""

import msgspec

from schemas.errors import RecordError

MESSAGE_CHARACTERS = 256
_PREFIX = "fusionlog.dlq."
_HEADERS = {
    "reason": "error.class",
    "message": "error.message",
    "topic": "source.topic",
    "partition": "source.partition",
    "offset": "source.offset",
    "timestamp_ms": "source.timestamp_ms",
    "app_version": "app.version",
}


class DeadLetter(msgspec.Struct, frozen=True, rename=_HEADERS):
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
        letter = msgspec.structs.replace(self, message=self.message[:MESSAGE_CHARACTERS])
        return [(_PREFIX + name, str(value).encode()) for name, value in msgspec.to_builtins(letter).items()]

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
            return msgspec.convert(found, cls, strict=False)
        except msgspec.ValidationError as error:
            raise RecordError(f"not a dead letter: {error}") from error
