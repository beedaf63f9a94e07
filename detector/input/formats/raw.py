"""Records that are lines."""

from typing import TYPE_CHECKING

from detector.input.formats.base import Content, text_of

if TYPE_CHECKING:
    from detector.input.spec import InputSpec


class RawFormat:
    """The value is one line of text."""

    def __init__(self, _spec: "InputSpec") -> None:
        """Raw lines need no settings."""

    def read(self, value: bytes, _record_time_ms: int) -> tuple[Content]:
        """The line, without the newline at its end."""
        return (Content(text_of(value.rstrip(b"\r\n"))),)
