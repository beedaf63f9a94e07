"""One JSON codec for every record: unknown fields of a minor version are ignored, an unknown major is refused."""

from typing import ClassVar, TypeVar

import msgspec

from schemas.errors import RecordError, UnknownMajorVersion


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record on a topic. New fields need defaults; renaming or removing one is a new major version."""

    MAJOR: ClassVar[int] = 1

    schema_version: str = "1.0"


R = TypeVar("R", bound=Record)
S = TypeVar("S", bound=msgspec.Struct)


def encode(record: msgspec.Struct) -> bytes:
    """JSON bytes of a record, keys in sorted order, so equal records are equal bytes."""
    return msgspec.json.encode(record, order="deterministic")


def decode(payload: bytes, kind: type[R]) -> R:
    """The record in `payload`.

    Raises:
        UnknownMajorVersion: the record is of another major version than `kind.MAJOR`.
        RecordError: the bytes are not JSON, or a field is missing or of the wrong type.
    """
    version = _read(payload, Record).schema_version
    if version.split(".")[0] != str(kind.MAJOR):
        raise UnknownMajorVersion(
            f"{kind.__name__} must be of major version {kind.MAJOR}, got {version!r}: upgrade this program"
        )
    return _read(payload, kind)


def _read(payload: bytes, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RecordError(f"not a {kind.__name__}: {error}") from error
