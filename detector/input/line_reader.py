"""From a record's bytes to its lines: text, event time, keys."""

import msgspec

from detector.errors import DecodeError
from detector.input.formats import FORMATS
from detector.input.formats.base import Content
from detector.input.layouts import Layout
from detector.input.spec import InputSpec

KEYS_PER_LINE = 1_024
KEY_CHARACTERS = 256


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line of log.

    Attributes:
        text: the message alone; time stamp, component, level and label are taken off by the system's layout.
        event_time_ms: time in the record's content, else in the line; None where neither holds one.
        keys: distinct keys that the line names, in order of appearance.
    """

    text: str
    event_time_ms: int | None
    keys: tuple[str, ...]


class LineReader:
    """Reads the records of a system.

    Keys come from `key_field`, then from the layout's own place, then from the key pattern; all of them count. A
    `key_pattern` of the system takes the place of what its layout would look for. Where nothing names a key, tumbling
    and counting windows take every line of a partition, under the system's name; a session without a key has no end.
    """

    def __init__(self, spec: InputSpec) -> None:
        self._max_record_bytes, self._max_line_bytes = spec.max_record_bytes, spec.max_line_bytes
        self._format = FORMATS[spec.format](spec)
        self._layout = Layout(spec)
        self._default_keys = () if self._layout.names_keys else spec.default_keys

    def lines(self, value: bytes | None, record_time_ms: int) -> list[Line]:
        """The lines in a record's value, at least one.

        Raises:
            DecodeError: the value holds no readable line; `reason` says why.
        """
        if value is None:
            raise DecodeError("tombstone", "value must be a line, got none")
        if len(value) > self._max_record_bytes:
            raise DecodeError(
                "oversize", f"value must be at most {self._max_record_bytes} bytes (max_record_bytes), got {len(value)}"
            )
        if not value or value.isspace():
            raise DecodeError("empty", "value must hold a line, got none or white space only")
        lines = [self._line(content, record_time_ms) for content in self._format.read(value, record_time_ms)]
        if not lines:
            raise DecodeError("empty", "value must hold a line, got none")
        return lines

    def _line(self, content: Content, record_time_ms: int) -> Line:
        message, time_ms, keys = self._layout.split(_cut(content.text, self._max_line_bytes), record_time_ms)
        distinct = dict.fromkeys([key[:KEY_CHARACTERS] for key in (*content.keys, *keys) if key])
        return Line(
            message,
            time_ms if content.time_ms is None else content.time_ms,
            tuple(distinct)[:KEYS_PER_LINE] or self._default_keys,
        )


def _cut(line: str, max_bytes: int) -> str:
    if len(line) * 4 <= max_bytes:  # a character is at most four bytes
        return line
    return line.encode("utf-8")[:max_bytes].decode("utf-8", "ignore")
