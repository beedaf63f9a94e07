"""Windows are a function of the records' order: checked against a naive cutter and over any batches and restarts."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.system import WindowSpec
from detector.windowing.cutter import WindowCutter, window_id
from detector.windowing.state import Late, Window

NOW_MS = 1_700_000_000_000
START_MS = NOW_MS - 100_000


@dataclass(frozen=True)
class Rec:
    offset: int
    time_ms: int
    keys: tuple[str, ...]
    event: str = "e"
    text: str = "text"


def cutter(spec: WindowSpec) -> WindowCutter:
    """A cutter whose clock stands still."""
    return WindowCutter("sys", spec, "raw", 3, now_ms=lambda: NOW_MS)


def feed(target: WindowCutter, *records: Rec) -> WindowCutter:
    """The cutter after these records."""
    for one in records:
        target.add(one.offset, one.time_ms, one.keys, one.event, one.text)
    return target


def at(seconds: float) -> int:
    """Milliseconds at some seconds after the start."""
    return START_MS + round(seconds * 1000)


SESSION = WindowSpec(kind="session", idle_seconds=10, lateness_seconds=5)
TUMBLING = WindowSpec(kind="tumbling", size_seconds=10, lateness_seconds=5)

specs = st.builds(
    WindowSpec,
    kind=st.sampled_from(["session", "tumbling", "count"]),
    idle_seconds=st.sampled_from([3, 8]),
    size_seconds=st.sampled_from([4, 10]),
    max_lines=st.sampled_from([1, 2, 3, 100]),
    lateness_seconds=st.sampled_from([0, 2, 20]),
    max_future_seconds=st.just(1000.0),
)
FUTURE_S = 100 + 1000 + 60


@st.composite
def streams(draw: st.DrawFn) -> list[Rec]:
    """Records in the order of a partition: out of order in time, with gaps, bursts and absurd times."""
    offset, seconds, records = -1, 0, []
    for _ in range(draw(st.integers(1, 40))):
        offset += draw(st.integers(1, 3))
        seconds += draw(st.integers(-6, 12))
        at_s = FUTURE_S if draw(st.integers(0, 15)) == 0 else seconds
        keys = tuple(draw(st.lists(st.sampled_from("abc"), max_size=3)))
        event = draw(st.sampled_from(["e0", "e1", "e2"]))
        records.append(Rec(offset, at(at_s), keys, event, f"line {offset}"))
    return records


@dataclass
class Naive:
    """The rules of the window contract, word by word: no heap, no forgetting, everything is searched each time."""

    spec: WindowSpec
    newest: int | None = None
    open: list[dict[str, Any]] = field(default_factory=list)
    closed: list[tuple[str, tuple[tuple[int, int], ...], str]] = field(default_factory=list)
    late: list[tuple[str, int]] = field(default_factory=list)
    closed_max: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.idle, self.size = round(self.spec.idle_seconds * 1000), round(self.spec.size_seconds * 1000)

    def _close(self, window: dict[str, Any], closed_by: str) -> None:
        self.open.remove(window)
        self.closed.append((window["key"], tuple(window["members"]), closed_by))

    def add(self, one: Rec) -> None:
        """Take a record."""
        time_ms = one.time_ms
        watermark = None if self.newest is None else self.newest - round(self.spec.lateness_seconds * 1000)
        plausible = time_ms <= NOW_MS + round(self.spec.max_future_seconds * 1000)
        if not plausible:
            time_ms = NOW_MS if self.newest is None else self.newest
        self._pass_watermark(watermark)
        for key in dict.fromkeys(one.keys):
            self._put(key, one.offset, time_ms, watermark)
        if plausible:
            self.newest = time_ms if self.newest is None else max(self.newest, time_ms)

    def _pass_watermark(self, watermark: int | None) -> None:
        for window in list(self.open) if watermark is not None else []:
            last = max(time_ms for _, time_ms in window["members"])
            if self.spec.kind == "session" and last + self.idle < watermark:
                self._close(window, "watermark")
                self.closed_max[window["key"]] = last
            if self.spec.kind == "tumbling" and (window["bucket"] + 1) * self.size <= watermark:
                self._close(window, "watermark")

    def _put(self, key: str, offset: int, time_ms: int, watermark: int | None) -> None:
        bucket = time_ms // self.size if self.spec.kind == "tumbling" else 0
        if self.spec.kind == "tumbling" and watermark is not None and (bucket + 1) * self.size <= watermark:
            self.late.append((key, offset))
            return
        window = next((one for one in self.open if one["key"] == key and one["bucket"] == bucket), None)
        if self.spec.kind == "session":
            if window and time_ms - max(member[1] for member in window["members"]) > self.idle:
                self._close(window, "gap")
                window = None
            elif not window and watermark is not None:
                remembered = self.closed_max.get(key)
                if time_ms + self.idle < watermark or (remembered is not None and time_ms <= remembered + self.idle):
                    self.late.append((key, offset))
                    return
        if not window:
            window = {"key": key, "bucket": bucket, "members": []}
            self.open.append(window)
        window["members"].append((offset, time_ms))
        if len(window["members"]) == self.spec.max_lines:
            self._close(window, "size")

    def finish(self) -> None:
        """Close what is left."""
        self._pass_watermark(None if self.newest is None else self.newest - round(self.spec.lateness_seconds * 1000))
        for window in list(self.open):
            self._close(window, "shutdown")


def run_whole(spec: WindowSpec, records: list[Rec]) -> tuple[list[Window], list[Late]]:
    """Windows and late lines of records that come in one piece."""
    whole = feed(cutter(spec), *records)
    whole.flush()
    return whole.take_closed(), whole.take_late()


@settings(max_examples=300, deadline=None)
@given(specs, streams())
def test_windows_are_those_of_the_naive_rules(spec: WindowSpec, records: list[Rec]) -> None:
    """The cutter's windows, their reasons for closing and its late lines are those of the written rules."""
    naive = Naive(spec)
    for one in records:
        naive.add(one)
    naive.finish()
    closed, late = run_whole(spec, records)
    found = {(one.key, tuple(zip(one.offsets, one.times_ms, strict=True)), one.closed_by) for one in closed}
    assert found == set(naive.closed)
    assert len(closed) == len(naive.closed)
    assert [(one.key, one.offset) for one in late] == naive.late


@settings(max_examples=300, deadline=None)
@given(specs, streams(), st.data())
def test_batches_and_restarts_change_nothing(spec: WindowSpec, records: list[Rec], data: st.DataObject) -> None:
    """However records are batched, and wherever a snapshot is taken and restored, the same windows come in order."""
    expected = run_whole(spec, records)
    target, closed, late = cutter(spec), [], []
    for one in records:
        feed(target, one)
        what = data.draw(st.sampled_from(["go on", "take", "restart", "take, restart"]))
        if "take" in what:
            closed += target.take_closed()
            late += target.take_late()
        if "restart" in what:
            body = target.snapshot()
            target = WindowCutter.restore(body, "sys", spec, "raw", 3, now_ms=lambda: NOW_MS)
            assert target.snapshot() == body
    target.flush()
    assert (closed + target.take_closed(), late + target.take_late()) == expected


@settings(max_examples=200, deadline=None)
@given(specs, streams(), st.integers(0, 40))
def test_every_line_of_a_key_is_in_one_place(spec: WindowSpec, records: list[Rec], stop: int) -> None:
    """At any moment each (offset, key) is in one closed window, one open window or late, and in one of them only."""
    target = feed(cutter(spec), *records[:stop])
    places = [(offset, one.key) for one in target.take_closed() for offset in one.offsets]
    places += [(one.offset, one.key) for one in target.take_late()]
    target.flush()
    places += [(offset, one.key) for one in target.take_closed() for offset in one.offsets]
    assert sorted(places) == sorted((one.offset, key) for one in records[:stop] for key in set(one.keys))


@settings(max_examples=100, deadline=None)
@given(specs, streams(), st.integers(0, 40))
def test_clock_closing_loses_nothing(spec: WindowSpec, records: list[Rec], stop: int) -> None:
    """Closing by the clock empties the cutter; later lines open new windows or are late, and none is lost."""
    target = feed(cutter(spec), *records[:stop])
    target.flush("idle")
    assert target.open_windows == 0
    feed(target, *records[stop:])
    target.flush()
    places = [(offset, one.key) for one in target.take_closed() for offset in one.offsets]
    places += [(one.offset, one.key) for one in target.take_late()]
    assert sorted(places) == sorted((one.offset, key) for one in records for key in set(one.keys))


def test_a_gap_ends_a_session() -> None:
    """A line further than idle from the last of its key closes the session and begins the next."""
    target = feed(cutter(SESSION), Rec(0, at(0), ("a",)), Rec(1, at(10), ("a",)), Rec(2, at(20.001), ("a",)))
    (window,) = target.take_closed()
    assert (window.offsets, window.closed_by) == ((0, 1), "gap")
    assert (window.start_ms, window.end_ms, target.open_windows) == (at(0), at(10), 1)


def test_the_watermark_ends_a_session_with_a_keyless_line() -> None:
    """A line without keys advances the watermark, which closes what it has passed by more than idle."""
    target = feed(cutter(SESSION), Rec(0, at(0), ("a",)), Rec(1, at(15), ()))
    assert target.take_closed() == []
    feed(target, Rec(2, at(15.001), ()))
    (window,) = target.take_closed()
    assert (window.closed_by, window.id) == ("watermark", window_id("sys", "a", "raw", 3, 0))


def test_a_line_for_a_session_that_was_emitted_is_late() -> None:
    """A line that belongs to a session which the watermark closed is late, with the watermark of that moment."""
    target = feed(cutter(SESSION), Rec(0, at(0), ("a",)), Rec(1, at(16), ()), Rec(2, at(9), ("a", "b"), "x", "t"))
    (late,) = target.take_late()
    assert (late.key, late.offset, late.event_time_ms, late.watermark_ms) == ("a", 2, at(9), at(11))
    assert (late.event_id, late.text) == ("x", "t")
    assert target.open_windows == 1  # the same line is in time for b


def test_a_session_at_its_limit_is_cut_and_marked() -> None:
    """Reaching max_lines closes a session at once and marks it truncated; the next line begins another."""
    spec = SESSION.model_copy(update={"max_lines": 2})
    target = feed(cutter(spec), *(Rec(offset, at(offset), ("a",)) for offset in range(3)))
    (window,) = target.take_closed()
    assert (window.offsets, window.closed_by, window.truncated) == ((0, 1), "size", True)
    assert target.open_windows == 1


def test_tumbling_windows_close_when_the_watermark_reaches_their_end() -> None:
    """A bucket is closed once the watermark is at its end, and its later lines are late."""
    start = at(0) // 10_000 * 10_000
    target = feed(cutter(TUMBLING), Rec(0, start, ("a",)), Rec(1, start + 9_999, ("a",)), Rec(2, start + 14_999, ()))
    assert target.take_closed() == []
    feed(target, Rec(3, start + 15_000, ("a",)), Rec(4, start + 9_999, ("a",)))
    (window,) = target.take_closed()
    assert (window.offsets, window.closed_by, window.truncated) == ((0, 1), "watermark", False)
    assert [late.offset for late in target.take_late()] == [4]


def test_tumbling_chunks_are_cut_in_offset_order() -> None:
    """A bucket of more than max_lines lines is cut into chunks, full ones at once."""
    spec = TUMBLING.model_copy(update={"max_lines": 2})
    start = at(0) // 10_000 * 10_000
    target = feed(cutter(spec), *(Rec(offset, start + 5 - offset, ("a",)) for offset in range(5)))
    assert [one.offsets for one in target.take_closed()] == [(0, 1), (2, 3)]
    target.flush()
    assert [(one.offsets, one.closed_by) for one in target.take_closed()] == [((4,), "shutdown")]


def test_count_windows_ignore_time() -> None:
    """Count windows hold N lines of a key, whatever their times; the rest comes at the end."""
    spec = WindowSpec(kind="count", max_lines=2)
    times = [50, 0, 99, 3, 1]
    target = feed(cutter(spec), *(Rec(offset, at(seconds), ("n",)) for offset, seconds in enumerate(times)))
    target.flush("end")
    assert [(one.offsets, one.closed_by) for one in target.take_closed()] == [
        ((0, 1), "size"),
        ((2, 3), "size"),
        ((4,), "end"),
    ]
    assert target.take_late() == []


def test_a_time_in_the_far_future_moves_nothing() -> None:
    """A time beyond the clock plus max_future takes the newest time seen instead and does not move the watermark."""
    target = feed(cutter(SESSION), Rec(0, at(1), ("a",)), Rec(1, NOW_MS + 10**12, ("a",)))
    assert target.watermark_ms == at(1 - 5)
    target.flush()
    (window,) = target.take_closed()
    assert window.times_ms == (at(1), at(1))


def test_a_far_future_time_before_any_other_takes_the_clock() -> None:
    """With no earlier line, an unbelievable time becomes the clock's and still sets no watermark."""
    target = feed(cutter(SESSION), Rec(0, NOW_MS + 10**12, ("a",)))
    assert target.watermark_ms is None
    target.flush()
    assert target.take_closed()[0].times_ms == (NOW_MS,)


def test_watermark_closings_come_in_order_of_their_deadlines() -> None:
    """Windows that one line closes are emitted by deadline, then by first offset."""
    records = [Rec(0, at(3), ("late",)), Rec(1, at(1), ("b",)), Rec(2, at(0), ("c",)), Rec(3, at(1), ("a",))]
    target = feed(cutter(SESSION), *records, Rec(4, at(50), ()))
    assert [one.key for one in target.take_closed()] == ["c", "b", "a", "late"]


def test_samples_are_the_first_line_of_each_event_capped() -> None:
    """A window keeps the first raw line of at most 8 distinct events, each at most 256 characters."""
    records = [Rec(offset, at(0), ("a",), f"e{offset // 2}", f"{offset}" + "x" * 300) for offset in range(20)]
    target = feed(cutter(SESSION), *records)
    target.flush()
    (window,) = target.take_closed()
    assert [event for event, _ in window.samples] == [f"e{number}" for number in range(8)]
    assert window.samples[1] == ("e1", "2" + "x" * 255)


def test_open_event_ids_include_windows_not_yet_taken() -> None:
    """Events of open windows and of closed ones that were not taken are still needed."""
    target = feed(cutter(SESSION), Rec(0, at(0), ("a",), "e0"), Rec(1, at(99), ("b",), "e1"))
    assert target.open_event_ids() == {"e0", "e1"}
    target.take_closed()
    assert target.open_event_ids() == {"e1"}


def test_offsets_must_rise() -> None:
    """An offset that was there before is refused: it would put a line into a window twice."""
    target = feed(cutter(SESSION), Rec(5, at(0), ("a",)))
    with pytest.raises(ValueError, match=r"must be above \(5, 0\)"):
        feed(target, Rec(5, at(0), ("a",)))


def test_window_ids_are_pinned() -> None:
    """Window ids never change between versions: alerts are deduplicated by them."""
    assert window_id("sys", "a", "raw", 3, 0) == "cfdb145bb39219e6b02e2c8933e38152"
    assert window_id("s", "ab", "c", 1, 2) != window_id("s", "a", "bc", 1, 2)


def test_a_sample_is_not_cut_within_a_word() -> None:
    """Half of a secret would not be recognized, and so not redacted; the last whole word ends the sample."""
    target = feed(cutter(SESSION), Rec(0, at(0), ("a",), "e0", "x" * 240 + " postgres://bob:hunter2long@db"))
    target.flush()
    (window,) = target.take_closed()
    assert window.samples == (("e0", "x" * 240),)


def test_a_long_first_word_is_redacted_before_it_is_cut() -> None:
    """Where the only word has to be cut, a secret that the cut goes through is taken out before."""
    target = feed(
        cutter(SESSION), Rec(0, at(0), ("a",), "e0", '{"' + "x" * 230 + '":"postgres://bob:hunter2long@db/x"}')
    )
    target.flush()
    (window,) = target.take_closed()
    assert "bob" not in window.samples[0][1]
    assert len(window.samples[0][1]) == 256


def test_a_restored_cutter_knows_the_line_within_the_record() -> None:
    """A snapshot taken between two lines of one record goes on after the first, and refuses it a second time."""
    target = cutter(SESSION)
    target.add(5, at(0), ("a",), "e0", "text", index=2)
    target = WindowCutter.restore(target.snapshot(), "sys", SESSION, "raw", 3, now_ms=lambda: NOW_MS)
    with pytest.raises(ValueError, match=r"must be above \(5, 2\)"):
        target.add(5, at(0), ("a",), "e0", "text", index=2)
    target.add(5, at(0), ("a",), "e0", "text", index=3)
    target.flush()
    assert [(window.offsets, window.indexes) for window in target.take_closed()] == [((5, 5), (2, 3))]
