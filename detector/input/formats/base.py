"""What a format does: from a record's bytes to the lines in it, each as the text that the layout takes apart."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from detector.errors import DecodeError


class Content(msgspec.Struct, frozen=True, gc=False):
    """A line as it stands in its record.

    Attributes:
        text: the line.
        time_ms: event time that the record gives it; None where it gives none.
        keys: keys that the record gives it.
    """

    text: str
    time_ms: int | None = None
    keys: tuple[str, ...] = ()


class Format(Protocol):
    """Reads the values of records."""

    def read(self, value: bytes, record_time_ms: int) -> Sequence[Content]:
        """The lines in a value that is not blank, in order.

        Raises:
            DecodeError: the value holds no readable line.
        """
        ...


def text_of(body: bytes) -> str:
    """UTF-8 text, without a byte order mark.

    Raises:
        DecodeError: it is not UTF-8.
    """
    try:
        return body.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DecodeError("undecodable", f"value must be UTF-8, got {error}") from error
