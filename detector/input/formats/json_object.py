"""Records that are JSON objects with a field for the line."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from detector.errors import DecodeError
from detector.input.formats.base import Content, text_of
from detector.input.times import number_ms, time_reader

if TYPE_CHECKING:
    from detector.input.spec import InputSpec

MAX_DEPTH = 64

# A string never fails to match, so the scan is linear even where its end quote is missing.
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class JsonFormat:
    """A JSON object with the line in one of `message_fields`, or a JSON string that is the line."""

    def __init__(self, spec: "InputSpec") -> None:
        self._spec = spec
        # The custom layout's time format is that of the time in the line.
        named = spec.time_format if spec.layout != "custom" else None
        self._read_time = time_reader(named)
        self._read_any_time = time_reader(None)

    def read(self, value: bytes, record_time_ms: int) -> tuple[Content]:
        """The object's line, with the time and the keys in its fields."""
        record = self._parse(value.strip())
        if isinstance(record, str):  # OpenTelemetry's `raw` encoding: the record is one JSON string
            record = {self._spec.message_fields[0]: record}
        if not isinstance(record, dict):
            raise DecodeError("no_message", f"value must be a JSON object, got {type(record).__name__}")
        keys: tuple[str, ...] = ()
        if self._spec.key_field is not None:
            keys = tuple(_key_texts(_field(record, self._spec.key_field)))
        return (Content(self._message(record), self._record_time(record, record_time_ms), keys),)

    def _parse(self, body: bytes) -> Any:
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
            raise DecodeError("too_deep", f"JSON must be nested at most {MAX_DEPTH} deep")
        try:
            return msgspec.json.decode(body)
        except RecursionError as error:
            raise DecodeError("too_deep", f"JSON must be nested at most {MAX_DEPTH} deep") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text_of(body)  # bytes that are not UTF-8 have a reason of their own
            raise DecodeError("bad_json", f"value must be JSON, got {error}") from error

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
