"""Reading records: raw lines, JSON, and everything that is neither."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import DecodeError
from detector.input.formats.json_object import MAX_DEPTH
from detector.input.line_reader import Line, LineReader
from detector.system import SystemSpec

RECORD_MS = 1_700_000_000_123


def reader(**settings: Any) -> LineReader:
    """A reader of a plain system with these settings."""
    return LineReader(SystemSpec.model_validate({"name": "orders", **settings}))


def read(value: bytes | None, **settings: Any) -> Line:
    """The line in a value."""
    [line] = reader(**settings).lines(value, RECORD_MS)
    return line


def refused(value: bytes | None, **settings: Any) -> str:
    """Why a value is refused."""
    with pytest.raises(DecodeError) as caught:
        read(value, **settings)
    return caught.value.reason


def test_a_raw_line_takes_the_time_of_its_record() -> None:
    """A raw line is its text without the newline at its end, at the record's time stamp."""
    assert read(b"disk full\r\n") == Line("disk full", None, ())


def test_a_json_record_gives_message_time_and_key() -> None:
    """Message, time and a key behind dots come from the fields that the system names."""
    body = json.dumps({"message": "up\n", "ts": "2023-11-14T22:13:20.5Z", "trace": {"id": "t1"}}).encode()
    assert read(body, key_field="trace.id") == Line("up", 1_700_000_000_500, ("t1",))


@pytest.mark.parametrize("field", ["message", "log", "MESSAGE", "msg"])
def test_every_usual_message_field_is_read(field: str) -> None:
    """The message fields of Filebeat, Fluent Bit, journald and rsyslog are known without settings."""
    assert read(json.dumps({"other": 1, field: "hello"}).encode()).text == "hello"


@pytest.mark.parametrize(
    ("value", "settings", "reason"),
    [
        (None, {}, "tombstone"),
        (b"", {}, "empty"),
        (b" \t\r\n ", {}, "empty"),
        (b'{"message": "  "}', {}, "empty"),
        (b"caf\xe9", {}, "undecodable"),
        (b'{"message": "caf\xe9"}', {}, "undecodable"),
        (b'{"message": "cut', {}, "bad_json"),
        (b"{not json at all", {"format": "auto"}, "bad_json"),
        (b"plain line", {"format": "json"}, "bad_json"),
        (b'{"message": "x"} {"message": "y"}', {}, "bad_json"),
        (b'{"text": "x"}', {}, "no_message"),
        (b'{"message": 7}', {}, "no_message"),
        (b"[1, 2]", {"format": "json"}, "no_message"),
        (b"x" * 2_000, {"max_record_bytes": 1_024}, "oversize"),
        (b'{"message":"x","deep":' + b"[" * 100 + b"]" * 100 + b"}", {}, "too_deep"),
        (b"{" + b'"a":{' * 100_000, {}, "too_deep"),
    ],
)
def test_the_error_names_why_a_value_cannot_be_read(value: bytes | None, settings: dict[str, Any], reason: str) -> None:
    """Each kind of unreadable record has a reason of its own for the dead letters."""
    assert refused(value, **settings) == reason


def test_a_raw_system_takes_a_line_that_looks_like_json() -> None:
    """With format raw a line that begins with a brace is a line."""
    assert read(b"{not json", format="raw").text == "{not json"


def test_brackets_inside_strings_are_not_depth() -> None:
    """A message full of brackets is no deep document, however its quotes are escaped."""
    message = '[{"' * 500 + "\\"
    assert read(json.dumps({"message": message}).encode()).text == message


def test_nesting_up_to_the_limit_is_read() -> None:
    """Documents of the allowed depth are read, one deeper is refused."""
    for depth, fits in ((MAX_DEPTH - 1, True), (MAX_DEPTH, False)):
        body = b'{"message":"m","d":' + b"[" * depth + b"]" * depth + b"}"
        assert (read(body).text == "m") if fits else (refused(body) == "too_deep")


def test_many_shallow_brackets_are_not_deep() -> None:
    """Depth is what counts, not the number of brackets."""
    assert read(json.dumps({"message": "m", "list": [[]] * 1_000}).encode()).text == "m"


def test_a_json_string_is_a_line_where_json_is_expected() -> None:
    """OpenTelemetry's raw encoding wraps a line in quotes; with format json they are taken off."""
    assert read(b'"a \\"b\\" c"', format="json").text == 'a "b" c'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000.25, 1_700_000_000_250),
        (1_700_000_000_250, 1_700_000_000_250),
        (1_700_000_000_250_000, 1_700_000_000_250),
        (1_700_000_000_250_000_000, 1_700_000_000_250),
        ("1700000000.25", 1_700_000_000_250),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14 22:13:20,250", 1_700_000_000_250),
        ("2023-11-14T23:13:20.250+0100", 1_700_000_000_250),
        ("2023-11-14T22:13:20.250123456Z", 1_700_000_000_250),
        ("yesterday", None),
        (-5, None),
        (1e300, None),
        (True, None),
        (None, None),
        ("9" * 20, None),
    ],
)
def test_times_are_read_as_shippers_write_them(value: object, expected: int | None) -> None:
    """Seconds to nanoseconds and ISO times are distinguished; other values are no times."""
    assert read(json.dumps({"message": "m", "@timestamp": value}).encode()).event_time_ms == expected


def test_the_first_readable_time_field_wins() -> None:
    """A time field that cannot be read gives way to the next one."""
    body = json.dumps({"message": "m", "@timestamp": "?", "time": 1_700_000_000}).encode()
    assert read(body).event_time_ms == 1_700_000_000_000


def test_a_time_format_reads_the_field() -> None:
    """The system's own time format is tried on time fields before the usual ones."""
    body = json.dumps({"message": "m", "time": "14/11/2023 22:13"}).encode()
    assert read(body, time_format="%d/%m/%Y %H:%M").event_time_ms == 1_699_999_980_000


def test_a_line_names_all_its_keys_once() -> None:
    """A key pattern finds every key, in order of appearance, each once; group 1 counts where there is one."""
    line = b"copy job-2 from job-1 to job-2"
    assert read(line, key_pattern=r"job-\d").keys == ("job-2", "job-1")
    assert read(line, key_pattern=r"job-(\d)").keys == ("2", "1")
    assert read(line, key_pattern=r"from (x)?").keys == ()


def test_key_field_and_key_pattern_both_count() -> None:
    """Keys of the field come first, then those in the text; numbers and lists are keys too, objects are not."""
    settings = {"key_field": "pod", "key_pattern": r"pod-\w"}
    for pod, keys in (("pod-a", ("pod-a", "pod-b")), (7, ("7", "pod-b")), (["x", {}], ("x", "pod-b"))):
        body = json.dumps({"message": "saw pod-b", "pod": pod}).encode()
        assert read(body, **settings).keys == keys
    assert read(json.dumps({"message": "saw pod-b", "pod": {"a": 1}}).encode(), **settings).keys == ("pod-b",)


def test_a_field_name_with_dots_may_be_one_name() -> None:
    """A field whose own name holds dots is found before dots descend."""
    assert read(b'{"message":"m","a.b":"flat","a":{"b":"deep"}}', key_field="a.b").keys == ("flat",)


def test_a_long_line_is_cut_between_characters() -> None:
    """A line over max_line_bytes loses its end, never half a character."""
    line = read("é".encode() * 100, max_line_bytes=65)
    assert line.text == "é" * 32
    assert read("é".encode() * 32, max_line_bytes=64) == Line("é" * 32, None, ())


def test_a_byte_order_mark_is_no_text() -> None:
    """A UTF-8 byte order mark at the start of a line is dropped."""
    assert read(b"\xef\xbb\xbfhello").text == "hello"


@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda text: ("{" + text).encode("utf-8", "replace")))
def test_any_bytes_are_a_line_or_a_decode_error(value: bytes) -> None:
    """No bytes make the reader fail otherwise, and a text that it gives can be written again."""
    for line_format in ("auto", "json", "raw"):
        try:
            line = read(value, format=line_format)
        except DecodeError:
            continue
        line.text.encode("utf-8")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists, max_leaves=5
    )
)
def test_any_json_value_in_any_field_is_a_line_or_a_decode_error(value: object) -> None:
    """Fields of unexpected types are passed over, never a crash."""
    body = json.dumps({"message": "m", "@timestamp": value, "key": value}).encode()
    line = read(body, key_field="key")
    assert line.text == "m"
    assert line.event_time_ms is None or 0 <= line.event_time_ms <= 253_402_300_799_999


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"window": {"kind": "tumbling"}}, ("hosts",)),
        ({"window": {"kind": "count"}}, ("hosts",)),
        ({"window": {"kind": "session"}}, ()),
        ({"window": {"kind": "tumbling"}, "key_pattern": r"job=(\w+)"}, ()),
        ({"window": {"kind": "tumbling"}, "key_field": "pod"}, ()),
        ({"window": {"kind": "tumbling"}, "layout": "loghub-bgl"}, ()),
        ({"window": {"kind": "count"}, "layout": "custom", "line_pattern": r"(?P<message>.*)"}, ("hosts",)),
        ({"window": {"kind": "count"}, "layout": "custom", "line_pattern": r"(?P<key>x?)(?P<message>.*)"}, ()),
    ],
)
def test_a_system_without_keys_has_one_where_windows_end_by_themselves(
    changes: dict[str, Any], keys: tuple[str, ...]
) -> None:
    """Tumbling and counting windows take all lines of a partition, unless a setting or the layout names keys."""
    spec = SystemSpec.model_validate({"name": "hosts", **changes})
    [line] = LineReader(spec).lines(b"eth0 is down", 0)
    assert line.keys == keys
