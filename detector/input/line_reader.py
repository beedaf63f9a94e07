"""From a record's bytes to a line: text, event time, keys. Raw lines, and JSON with a message field."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from detector.errors import DecodeError
from detector.input.layouts import find_keys, has_own_key, key_pattern_of, layout_of, names_keys
from detector.input.times import TimeReader, number_ms, time_reader
from detector.system import SystemSpec

MAX_DEPTH = 64
KEYS_PER_LINE = 1_024
KEY_CHARACTERS = 256

# A string never fails to match, so the scan is linear even where its end quote is missing.
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
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

    def __init__(self, spec: SystemSpec) -> None:
        self._spec = spec
        self._lay = layout_of(spec)
        self._own_key = has_own_key(spec)
        self._key_pattern = key_pattern_of(spec)
        self._only_key = () if spec.window.kind == "session" or names_keys(spec) else (spec.name,)
        named = spec.time_format if spec.layout != "custom" else None
        self._read_time: TimeReader = time_reader(named)
        self._read_any_time: TimeReader = time_reader(None)
        self._parse_json: Callable[[bytes], Any] = msgspec.json.Decoder().decode

    def lines(self, value: bytes | None, record_time_ms: int) -> Sequence[Line]:
        """The lines in a record's value.

        Raises:
            DecodeError: the value holds no readable line; `reason` says why.
        """
        return (self.read(value, record_time_ms),)

    def read(self, value: bytes | None, record_time_ms: int) -> Line:
        """The line in a record's value.

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
        body = value.strip()
        if not body:
            raise DecodeError("empty", "value must hold a line, got none or white space only")
        if self._spec.format == "json" or (self._spec.format == "auto" and body.startswith(b"{")):
            return self._read_json(body, record_time_ms)
        return self._line(_text(value.rstrip(b"\r\n")), record_time_ms, None, ())

    def _read_json(self, body: bytes, record_time_ms: int) -> Line:
        record = self._parse(body)
        if isinstance(record, str):  # OpenTelemetry's `raw` encoding: the record is one JSON string
            record = {self._spec.message_fields[0]: record}
        if not isinstance(record, dict):
            raise DecodeError("no_message", f"value must be a JSON object, got {type(record).__name__}")
        keys: tuple[str, ...] = ()
        if self._spec.key_field is not None:
            keys = tuple(_key_texts(_field(record, self._spec.key_field)))
        return self._line(self._message(record), record_time_ms, self._record_time(record, record_time_ms), keys)

    def _parse(self, body: bytes) -> Any:
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
            raise DecodeError("too_deep", f"JSON must be nested at most {MAX_DEPTH} deep")
        try:
            return self._parse_json(body)
        except msgspec.DecodeError as error:
            if "UTF-8" in str(error) or not _is_utf8(body):
                raise DecodeError("undecodable", f"value must be UTF-8, got {error}") from error
            raise DecodeError("bad_json", f"value must be JSON, got {error}") from error
        except UnicodeDecodeError as error:
            raise DecodeError("undecodable", f"value must be UTF-8, got {error}") from error
        except RecursionError as error:
            raise DecodeError("too_deep", f"JSON must be nested at most {MAX_DEPTH} deep") from error

    def _message(self, record: dict[str, Any]) -> str:
        found = [field for name in self._spec.message_fields if isinstance(field := _field(record, name), str)]
        for message in found:
            if message.strip():
                return message.rstrip("\r\n")
        if found:
            raise DecodeError("empty", "message must be a line, got white space only")
        wanted = ", ".join(self._spec.message_fields)
        raise DecodeError("no_message", f"value must have a text in one of message_fields ({wanted}), got none")

    def _record_time(self, record: dict[str, Any], record_time_ms: int) -> int | None:
        for name in self._spec.time_fields:
            value = _field(record, name)
            time_ms: int | None = None
            if isinstance(value, str):
                time_ms = self._read_time(value, record_time_ms)
                if time_ms is None:
                    time_ms = self._read_any_time(value, record_time_ms)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                time_ms = number_ms(value)
            if time_ms is not None:
                return time_ms
        return None

    def _line(self, line: str, record_time_ms: int, time_ms: int | None, keys: tuple[str, ...]) -> Line:
        line, cut = _cut(line, self._spec.max_line_bytes)
        laid = self._lay(line, record_time_ms)
        time_ms = laid.time_ms if time_ms is None else time_ms
        found = list(keys)
        if laid.key and self._own_key:
            found.append(laid.key)
        if self._key_pattern is not None:
            found.extend(find_keys(self._key_pattern, laid.searchable))
        distinct = tuple(dict.fromkeys(key[:KEY_CHARACTERS] for key in found if key))
        timed = time_ms is not None
        found_keys = distinct[:KEYS_PER_LINE] or self._only_key
        return Line(laid.message, record_time_ms if time_ms is None else time_ms, found_keys, cut, timed)


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DecodeError("undecodable", f"value must be UTF-8, got {error}") from error


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _cut(line: str, max_bytes: int) -> tuple[str, bool]:
    if len(line) * 4 <= max_bytes:  # a character is at most four bytes
        return line, False
    data = line.encode("utf-8")
    if len(data) <= max_bytes:
        return line, False
    return data[:max_bytes].decode("utf-8", "ignore"), True


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for found in _NESTING.finditer(body):
        mark = body[found.start()]
        if mark in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in b"]}":
            depth -= 1
    return deepest


def _field(record: dict[str, Any], name: str) -> Any:
    """The value of a field: by its full name, else by descending at the dots; None where there is none."""
    if name in record or "." not in name:
        return record.get(name)
    value: Any = record
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def _key_texts(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, str) or (isinstance(one, int) and not isinstance(one, bool)):
            yield str(one)
