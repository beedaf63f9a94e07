"""Records that are lines."""

from detector.input.formats.base import Content, FormatSettings, text_of


class RawFormat:
    """The value is one line of text."""

    def __init__(self, _settings: FormatSettings) -> None:
        """Raw lines need no settings."""

    def read(self, value: bytes, _record_time_ms: int) -> tuple[Content]:
        """The line, without the newline at its end."""
        return (Content(text_of(value.rstrip(b"\r\n"))),)
