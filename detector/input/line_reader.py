"""From a record's bytes to its lines: text, event time, keys."""

import msgspec

from detector.errors import DecodeError
from detector.input.formats import FORMATS
from detector.input.formats.base import Content
from detector.input.layouts import find_keys, has_own_key, key_pattern_of, layout_of, names_keys
from detector.input.spec import InputSpec

KEYS_PER_LINE = 1_024
KEY_CHARACTERS = 256


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line of log.

    Attributes:
        text: the message alone; time stamp, component, level and label are taken off by the system's layout.
        event_time_ms: time in the record's content, else in the line, else the record's own time stamp.
        keys: distinct keys that the line names, in order of appearance.
        cut: whether the line was longer than `max_line_bytes` and lost its end.
        timed: whether the content or the line holds a time; without one the record's time stamp stands in for it.
    """

    text: str
    event_time_ms: int
    keys: tuple[str, ...]
    cut: bool = False
    timed: bool = True


class LineReader:
    """Reads the records of a system.

    Keys come from `key_field`, then from the layout's own place, then from the key pattern; all of them count. A
    `key_pattern` of the system takes the place of what its layout would look for. Where nothing names a key, tumbling
    and counting windows take every line of a partition, under the system's name; a session without a key has no end.
    """

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._format = FORMATS[spec.format](spec)
        self._parse = layout_of(spec)
        self._own_key = has_own_key(spec)
        self._key_pattern = key_pattern_of(spec)
        self._default_keys = () if names_keys(spec) else spec.default_keys

    def lines(self, value: bytes | None, record_time_ms: int) -> list[Line]:
        """The lines in a record's value, at least one.

        Raises:
            DecodeError: the value holds no readable line; `reason` says why.
        """
        if value is None:
            raise DecodeError("tombstone", "value must be a line, got none")
        if len(value) > self._spec.max_record_bytes:
            raise DecodeError(
                "oversize",
                f"value must be at most {self._spec.max_record_bytes} bytes (max_record_bytes), got {len(value)}",
            )
        if not value or value.isspace():
            raise DecodeError("empty", "value must hold a line, got none or white space only")
        lines = [self._line(content, record_time_ms) for content in self._format.read(value, record_time_ms)]
        if not lines:
            raise DecodeError("empty", "value must hold a line, got none")
        return lines

    def _line(self, content: Content, record_time_ms: int) -> Line:
        text, cut = _cut(content.text, self._spec.max_line_bytes)
        parsed = self._parse(text, record_time_ms)
        time_ms = parsed.time_ms if content.time_ms is None else content.time_ms
        found = list(content.keys)
        if parsed.key and self._own_key:
            found.append(parsed.key)
        if self._key_pattern is not None:
            found.extend(find_keys(self._key_pattern, parsed.searchable))
        distinct = tuple(dict.fromkeys(key[:KEY_CHARACTERS] for key in found if key))
        return Line(
            parsed.message,
            record_time_ms if time_ms is None else time_ms,
            distinct[:KEYS_PER_LINE] or self._default_keys,
            cut,
            timed=time_ms is not None,
        )


def _cut(line: str, max_bytes: int) -> tuple[str, bool]:
    if len(line) * 4 <= max_bytes:  # a character is at most four bytes
        return line, False
    data = line.encode("utf-8")
    if len(data) <= max_bytes:
        return line, False
    return data[:max_bytes].decode("utf-8", "ignore"), True
