"""Read, parse and cut in one place: batches, unreadable records, several lines per record, old snapshots."""

import ast
import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from detector.errors import DecodeError, SnapshotError
from detector.input.formats import FORMATS
from detector.input.formats.base import Content
from detector.input.spec import InputSpec
from detector.parsing.parser import Event, LineParser
from detector.parsing.templates import Template, TemplateMatcher
from detector.partition_reader import InputRecord, PartitionReader, ReadLine, SystemReader
from detector.system import SystemSpec, WindowSpec
from detector.windowing.cutter import WindowCutter, window_id
from detector.windowing.kinds import KINDS
from detector.windowing.kinds.base import Decision, WindowKind
from detector.windowing.state import OpenWindow, Place, Window

ROOT = Path(__file__).resolve().parents[2]
NOW_MS = 1_700_000_000_000
START_MS = NOW_MS - 100_000
SPEC = SystemSpec(
    name="sys",
    key_pattern=r"id=(\w+)",
    window=WindowSpec(kind="session", idle_seconds=10, lateness_seconds=5),
)
MATCHER = TemplateMatcher([Template.of("id=a opened"), Template.of("id=<NUM> closed")])


def places_of(window: Window) -> tuple[Place, ...]:
    """Place of each line."""
    return tuple(zip(window.offsets, window.indexes or (0,) * len(window.offsets), strict=True))


def system(spec: SystemSpec = SPEC, *, carry_times: bool = False) -> SystemReader:
    """A reader whose clock stands still."""
    return SystemReader(spec, MATCHER, now_ms=lambda: NOW_MS, carry_times=carry_times)


def partition(spec: SystemSpec = SPEC, *, carry_times: bool = False) -> PartitionReader:
    """Partition 3 of the system."""
    return PartitionReader(system(spec, carry_times=carry_times), "raw", 3)


class ManyLines:
    """A toy format: each line of text in a record is a line of log, and one that ends in `at <ms>` has a time."""

    def __init__(self, _spec: InputSpec) -> None:
        """It has no settings."""

    def read(self, value: bytes, _record_time_ms: int) -> list[Content]:
        """One line of log per line of text."""
        return [self._content(part) for part in value.decode().split("\n")]

    def _content(self, text: str) -> Content:
        if not text:
            raise DecodeError("empty", "value must hold no blank line")
        text, _, time_ms = text.partition(" at ")
        return Content(text, int(time_ms) if time_ms else None)


class FixedLength(WindowKind):
    """A toy kind: a window takes its key's lines for `idle_ms` from its first line on."""

    def decide(
        self, window: OpenWindow | None, time_ms: int, _watermark_ms: int | None, _closed_ms: int | None
    ) -> Decision:
        """The line after that begins the next window."""
        if window is not None and time_ms - window.times_ms[0] > self.rule.idle_ms:
            return Decision.NEXT
        return Decision.JOIN

    def deadline_ms(self, window: OpenWindow) -> int:
        """End of its length."""
        return window.times_ms[0] + self.rule.idle_ms


@pytest.fixture
def many_lines(monkeypatch: pytest.MonkeyPatch) -> SystemSpec:
    """A system whose records hold several lines: one new class and one row in the table of formats."""
    monkeypatch.setitem(FORMATS, "many-lines", ManyLines)
    return SystemSpec.model_validate({**SPEC.model_dump(), "format": "many-lines"})


@pytest.fixture
def fixed_length(monkeypatch: pytest.MonkeyPatch) -> SystemSpec:
    """A system with windows of the toy kind: one new class and one row in the table of kinds."""
    monkeypatch.setitem(KINDS, "fixed-length", FixedLength)
    return SystemSpec(name="sys", window=WindowSpec(kind="fixed-length", idle_seconds=10, lateness_seconds=5))


def test_a_batch_gives_lines_windows_late_lines_and_unreadable_records() -> None:
    """Everything that a batch holds comes back, each with its place."""
    records = [
        InputRecord(0, b"id=a opened", START_MS),
        InputRecord(1, b"", START_MS),
        InputRecord(2, b"id=17 closed", START_MS + 30_000),
        InputRecord(4, b"id=a opened", START_MS + 1_000),
    ]
    batch = partition().read(records)
    assert [(line.place, line.keys, line.event.text, line.event.novel, line.text) for line in batch.lines] == [
        ((0, 0), ("a",), "id=a opened", False, "id=a opened"),
        ((2, 0), ("17",), "id=<NUM> closed", False, "id=17 closed"),
        ((4, 0), ("a",), "id=a opened", False, "id=a opened"),
    ]
    assert [(window.key, places_of(window), window.closed_by) for window in batch.closed] == [
        ("a", ((0, 0),), "watermark")
    ]
    assert [(late.key, late.offset, late.index) for late in batch.late] == [("a", 4, 0)]
    assert [(offset, error.reason) for offset, error in batch.unreadable] == [(1, "empty")]


def test_a_line_without_a_time_says_so_and_is_cut_by_its_records() -> None:
    """The event time is None where neither content nor line holds one; the window has the record's time stamp."""
    records = [
        InputRecord(0, b'{"message":"id=a opened"}', START_MS),
        InputRecord(1, b'{"message":"id=a opened","ts":"2023-11-14T22:00:00Z"}', START_MS),
        InputRecord(2, b"id=a opened", None),
        InputRecord(3, b"id=a opened", -1),
    ]
    reader = partition()
    lines = reader.read(records).lines
    own_ms = 1_699_999_200_000
    assert [line.event_time_ms for line in lines] == [None, own_ms, None, None]
    assert [line.time_ms for line in lines] == [START_MS, own_ms, NOW_MS, NOW_MS]
    assert [line.record_time_ms for line in lines] == [START_MS, START_MS, NOW_MS, NOW_MS]


def test_a_line_of_a_file_takes_the_time_of_the_line_before_it() -> None:
    """With `carry_times` a record without a time stamp takes the last time, across batches and before the first."""
    reader = partition(carry_times=True)
    one = reader.read([InputRecord(0, b"id=a opened"), InputRecord(1, b'{"message":"id=a x","ts":1700000000}')])
    two = reader.read([InputRecord(2, b"id=a opened"), InputRecord(3, b"id=a opened", START_MS)])
    assert [line.time_ms for line in one.lines + two.lines] == [0, 1_700_000_000_000, 1_700_000_000_000, START_MS]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-4_000, 9_000)), max_size=30), st.integers(1, 9))
def test_batches_and_restarts_change_nothing(steps: list[tuple[str, int]], size: int) -> None:
    """Any batching, with a snapshot and restore after each batch, gives the same lines and windows."""
    records, time_ms = [], START_MS
    for offset, (key, step_ms) in enumerate(steps):
        time_ms += step_ms
        records.append(InputRecord(offset, b"" if key == "c" and step_ms < 0 else f"id={key} went".encode(), time_ms))
    whole = partition()
    expected = whole.read(records)
    shared = system()
    reader = PartitionReader(shared, "raw", 3)
    found: tuple[list[ReadLine], list[Window]] = ([], [])
    for start in range(0, len(records), size):
        batch = reader.read(records[start : start + size])
        found[0].extend(batch.lines)
        found[1].extend(batch.closed)
        reader = PartitionReader.restore(shared, "raw", 3, reader.snapshot())
    assert found == (expected.lines, expected.closed)
    assert reader.flush() == whole.flush()


def test_an_unforeseen_error_makes_its_record_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any error in reading or parsing rejects one record, and the next ones are read."""
    parse = LineParser.event

    def event(self: LineParser, text: str) -> Event:
        if "bad" in text:
            raise ZeroDivisionError("division by zero")
        return parse(self, text)

    monkeypatch.setattr(LineParser, "event", event)
    batch = partition().read([InputRecord(0, b"id=a bad", START_MS), InputRecord(1, b"id=a good", START_MS)])
    [(offset, error)] = batch.unreadable
    assert (offset, error.reason, isinstance(error, DecodeError)) == (0, "undecodable", True)
    assert "ZeroDivisionError: division by zero" in str(error)
    assert [line.place for line in batch.lines] == [(1, 0)]


def test_other_templates_hold_from_the_next_line_on() -> None:
    """After `swap` lines are parsed with the new templates, in every partition of the system; open windows stay."""
    shared = system()
    reader = PartitionReader(shared, "raw", 3)
    reader.read([InputRecord(0, b"id=b moved", START_MS)])
    shared.swap(TemplateMatcher([Template.of("<*> moved")]))
    [line] = reader.read([InputRecord(1, b"id=b moved", START_MS)]).lines
    assert (line.event.text, line.event.novel) == ("<*> moved", False)
    [window] = reader.flush()
    assert len(set(window.event_ids)) == 2


def test_a_format_is_one_class_and_one_row(many_lines: SystemSpec) -> None:
    """Its lines are read, parsed and cut; a line takes the time that the format gives it, else the record's."""
    reader = partition(many_lines)
    batch = reader.read([InputRecord(0, f"id=a opened at {START_MS}\nid=17 closed".encode(), START_MS + 9)])
    assert [(line.place, line.event_time_ms, line.time_ms, line.event.text) for line in batch.lines] == [
        ((0, 0), START_MS, START_MS, "id=a opened"),
        ((0, 1), None, START_MS + 9, "id=<NUM> closed"),
    ]
    assert [(window.key, places_of(window), window.times_ms) for window in reader.flush()] == [
        ("a", ((0, 0),), (START_MS,)),
        ("17", ((0, 1),), (START_MS + 9,)),
    ]


def test_a_kind_of_windows_is_one_class_and_one_row(fixed_length: SystemSpec) -> None:
    """Its windows are cut, closed by the watermark and carried by a snapshot; lines without a key share windows."""
    seconds = (0, 4, 10, 11, 30)
    records = [InputRecord(offset, b"went", START_MS + 1_000 * second) for offset, second in enumerate(seconds)]
    shared = system(fixed_length)
    reader = PartitionReader(shared, "raw", 3)
    closed = reader.read(records[:2]).closed
    reader = PartitionReader.restore(shared, "raw", 3, reader.snapshot())
    closed += reader.read(records[2:]).closed
    found = [(window.kind, window.key, window.offsets, window.closed_by) for window in closed + reader.flush()]
    assert found == [
        ("fixed-length", "sys", (0, 1, 2), "gap"),
        ("fixed-length", "sys", (3,), "gap"),
        ("fixed-length", "sys", (4,), "shutdown"),
    ]


@pytest.mark.parametrize(("field", "rows"), [("format", FORMATS), ("window.kind", KINDS)])
def test_settings_take_the_names_in_the_tables(
    field: str, rows: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another name is refused with those there are, a new row is allowed at once, and the JSON schema lists them."""

    def spec(name: str) -> SystemSpec:
        return SystemSpec.model_validate(
            {"name": "s"} | ({"window": {"kind": name}} if "." in field else {field: name})
        )

    names = list(rows)
    with pytest.raises(ValidationError, match=rf"Input should be '{names[0]}', '{names[1]}' or '{names[2]}'"):
        spec("toy")
    monkeypatch.setitem(rows, "toy", rows[names[0]])
    spec("toy")
    schema = SystemSpec.model_json_schema()
    listed = (
        schema["$defs"]["WindowSpec"]["properties"]["kind"] if field == "window.kind" else schema["properties"][field]
    )
    assert (listed["enum"], listed["type"]) == ([*names, "toy"], "string")


def test_lines_of_one_record_stand_at_its_offset_one_after_the_other(many_lines: SystemSpec) -> None:
    """Windows, late lines and ids hold the index of a line in its record, and so does a snapshot."""
    reader = partition(many_lines)
    first = reader.read([InputRecord(7, b"id=a opened\nid=b opened\nid=a opened", START_MS)])
    assert [line.place for line in first.lines] == [(7, 0), (7, 1), (7, 2)]
    reader = PartitionReader.restore(system(many_lines), "raw", 3, reader.snapshot())
    later = reader.read([InputRecord(8, b"id=x opened\nid=a opened", START_MS + 40_000)])
    windows = {window.key: window for window in later.closed}
    assert places_of(windows["a"]) == ((7, 0), (7, 2))
    assert places_of(windows["b"]) == ((7, 1),)
    assert windows["a"].id == window_id("sys", "a", "raw", 3, 7)
    assert windows["b"].id == window_id("sys", "b", "raw", 3, 7, 1) != window_id("sys", "b", "raw", 3, 7)
    [late] = reader.read([InputRecord(9, b"id=x opened\nid=b opened", START_MS)]).late
    assert (late.key, late.offset, late.index) == ("b", 9, 1)
    assert [(window.key, places_of(window)) for window in reader.flush()] == [("x", ((8, 0), (9, 0))), ("a", ((8, 1),))]


def test_a_record_with_one_unreadable_line_is_unreadable_as_a_whole(many_lines: SystemSpec) -> None:
    """No line of such a record enters a window: the record goes to the dead letters in one piece."""
    reader = partition(many_lines)
    batch = reader.read([InputRecord(0, b"id=a opened\n\nid=a opened", START_MS)])
    assert (batch.lines, [offset for offset, _ in batch.unreadable], reader.open_windows) == ([], [0], 0)


@pytest.mark.parametrize(
    ("places", "good"),
    [
        ([(5, 0), (5, 1), (5, 2), (6, 0)], True),
        ([(5, 0), (6, 3)], True),
        ([(5, 0), (5, 0)], False),
        ([(5, 2), (5, 1)], False),
        ([(5, 1), (4, 2)], False),
    ],
)
def test_places_must_rise(places: list[Place], good: bool) -> None:
    """A second line of an offset has a higher index; a place that was there before is refused."""
    cutter = WindowCutter("sys", SPEC.window, "raw", 3, now_ms=lambda: NOW_MS)
    for offset, index in places[:-1]:
        cutter.add(offset, START_MS, ("a",), "e", "t", index)
    offset, index = places[-1]
    if good:
        cutter.add(offset, START_MS, ("a",), "e", "t", index)
    else:
        with pytest.raises(ValueError, match="must be above"):
            cutter.add(offset, START_MS, ("a",), "e", "t", index)


# Written before a line's place had an index: open windows b and c, a closed window of a and of b, a late line.
OLD_SNAPSHOT = base64.b64decode(
    "RkxXATY2kJCdYCnc9CDSk2kxE8Sbo3N5c6NyYXcDlKdzZXNzaW9uzScQzepgzQIAB88AAAGLz+QjyJGiZTCSmKFiAASRA88AAAGL"
    "z+Qh1JHNAfSSAACRq3NlY29uZCBvZiBimKFjAAeQzwAAAYvP5CPIkJEAkbRvbmUgbGluZSBvZiB0d28ga2V5c5GSoWHPAAABi8/j"
    "4WCSntkgYjVlNmRmZDdjYWMzNjIxMmM3MWJkY2JlMTE1MzAxMTCjc3lzp3Nlc3Npb26hYqNyYXcDkQGRomUxkc8AAAGLz+PlSM8A"
    "AAGLz+PlSM8AAAGLz+PlSKNnYXDCkZKiZTGqZmlyc3Qgb2YgYp7ZIGNmZGIxNDViYjM5MjE5ZTZiMDJlMmM4OTMzZTM4MTUyo3N5"
    "c6dzZXNzaW9uoWGjcmF3A5EAkaJlMJHPAAABi8/j4WDPAAABi8/j4WDPAAABi8/j4WCpd2F0ZXJtYXJrwpGSomUwqmZpcnN0IG9m"
    "IGGRlqFhBc8AAAGLz+PlSM8AAAGLz+QOTKJlMqpsYXRlIGZvciBh"
)


def test_a_snapshot_from_before_indexes_is_read_as_index_0() -> None:
    """An old snapshot's windows, late lines and position go on under the ids that they had."""
    reader = WindowCutter.restore(OLD_SNAPSHOT, "sys", SPEC.window, "raw", 3, now_ms=lambda: NOW_MS)
    closed = reader.take_closed()
    assert [(window.key, window.offsets, window.indexes) for window in closed] == [("b", (1,), ()), ("a", (0,), ())]
    assert [window.id for window in closed] == [window_id("sys", key, "raw", 3, at) for key, at in (("b", 1), ("a", 0))]
    assert [(late.offset, late.index) for late in reader.take_late()] == [(5, 0)]
    with pytest.raises(ValueError, match="must be above"):
        reader.add(7, START_MS, ("a",), "e", "t")
    reader.add(7, START_MS + 17_000, ("c",), "e0", "t", 1)
    reader.flush()
    assert [(window.key, places_of(window)) for window in reader.take_closed()] == [
        ("b", ((4, 0), (7, 0))),
        ("c", ((7, 0), (7, 1))),
    ]


def test_a_snapshot_of_another_partition_is_refused() -> None:
    """A reader is restored from its own partition's snapshot only."""
    with pytest.raises(SnapshotError, match="must be of"):
        PartitionReader.restore(system(), "raw", 4, partition().snapshot())


PARTS = {"LineReader", "LineParser", "WindowCutter"}


def imported_parts(source: str) -> set[str]:
    """Which of reader, parser and cutter a module imports, by name or with their module."""
    modules = {"line_reader": "LineReader", "parser": "LineParser", "cutter": "WindowCutter"}
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("detector"):
            found |= {alias.name for alias in node.names} | {modules.get(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                modules.get(alias.name.rpartition(".")[2], "")
                for alias in node.names
                if alias.name.startswith("detector.")
            }
    return found & PARTS


def test_nothing_else_composes_reader_parser_and_cutter() -> None:
    """Outside detector and tests no module imports two of them: it would read, parse or cut in its own way."""
    packages = (
        "agent",
        "bench",
        "broker",
        "deploy",
        "detector",
        "fusionlog",
        "loggen",
        "schemas",
        "testkit",
        "trainer",
    )
    paths = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    names = {
        str(path.relative_to(ROOT)): imported_parts(path.read_text("utf-8"))
        for path in paths
        if path != ROOT / "detector" / "partition_reader.py"
    }
    assert len(names) > 150
    assert {name for name, parts in names.items() if len(parts) > 1} == set()


def test_the_rule_sees_every_way_to_import() -> None:
    """The check above would notice names and modules alike."""
    assert imported_parts("from detector.parsing.parser import LineParser") == {"LineParser"}
    assert imported_parts("import detector.windowing.cutter as c\nfrom detector.input import line_reader") == {
        "WindowCutter",
        "LineReader",
    }
