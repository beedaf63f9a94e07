"""Cutting a partition's lines into windows (docs/streaming.md#windows; paper section II for `count`).

Data decides membership, time only decides when a window is closed: the windows are a function of the records in the
order of their partition, never of how they came in batches or where a snapshot was taken and restored. Trainer and
agent cut with this one class.

The watermark is the newest event time so far less the allowed lateness. A record is judged against the watermark as
it was before it, then moves it, then every window that the watermark has passed is closed.
"""

import hashlib
import heapq
import time
from collections.abc import Callable, Iterable, Sequence

from detector.errors import SnapshotError
from detector.system import WindowSpec
from detector.windowing import state as window_state
from detector.windowing.state import Late, OpenWindow, Place, Rule, State, Window, milliseconds

__all__ = ["Late", "Window", "WindowCutter", "window_id"]

_SPARE_DEADLINES = 1024

Slot = tuple[str, int]
"""Where an open window stands: its key and its tumbling bucket (0 for other kinds)."""


def window_id(system: str, key: str, topic: str, partition: int, first_offset: int, first_index: int = 0) -> str:
    """32 hex digits that name the window of `key` whose first line is at a place."""
    # Each part is led by its length, so no two different tuples are hashed as the same bytes. Index 0 is left out: ids
    # are those of releases that knew one line per record.
    parts = (system, key, topic, str(partition), str(first_offset), *([str(first_index)] if first_index else []))
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def wall_clock_ms() -> int:
    """Milliseconds since the epoch, now."""
    return time.time_ns() // 1_000_000


class WindowCutter:
    """Windows of one partition.

    A line without keys is in no window but moves the watermark. A time further ahead of the clock than `max_future`
    is replaced by the newest time seen (by the clock, if none was) and moves nothing.
    """

    def __init__(
        self, system: str, spec: WindowSpec, topic: str, partition: int, now_ms: Callable[[], int] = wall_clock_ms
    ) -> None:
        self._system, self._topic, self._partition = system, topic, partition
        self._rule = Rule.of(spec)
        self._lateness_ms = milliseconds(spec.lateness_seconds)
        self._max_future_ms = milliseconds(spec.max_future_seconds)
        self._now_ms = now_ms
        self._put = {"session": self._session, "tumbling": self._tumbling, "count": self._count}[spec.kind]
        self._newest_ms: int | None = None
        self._last: Place | None = None
        self._open: dict[Slot, OpenWindow] = {}
        # Heaps are lazy: an entry may be older than what it names; it is checked, and put back, when it comes up.
        self._deadlines: list[tuple[int, Place, Slot]] = []
        self._remembered: dict[str, int] = {}
        self._forget_at: list[tuple[int, str]] = []
        self._closed: list[Window] = []
        self._late: list[Late] = []

    @property
    def open_windows(self) -> int:
        """How many windows are open."""
        return len(self._open)

    @property
    def watermark_ms(self) -> int | None:
        """Newest event time less the allowed lateness; None before the first line."""
        return None if self._newest_ms is None else self._newest_ms - self._lateness_ms

    def open_event_ids(self) -> set[str]:
        """Event ids that windows hold which are open, or closed but not yet taken."""
        ids = {event_id for window in self._open.values() for event_id in window.event_ids}
        return ids.union(*(window.event_ids for window in self._closed))

    def add(
        self, offset: int, event_time_ms: int, keys: Sequence[str], event_id: str, text: str, index: int = 0
    ) -> None:
        """Take the next line of the partition, the one at `index` among the lines of the record at `offset`.

        Raises:
            ValueError: its place is not above the one before.
        """
        place = (offset, index)
        if self._last is not None and place <= self._last:
            raise ValueError(f"a line's (offset, index) must be above {self._last}, the line's before, got {place}")
        self._last = place
        event_time_ms, believed = self._believed(event_time_ms)
        if keys:
            watermark_ms = self.watermark_ms
            for key in keys if len(keys) == 1 else dict.fromkeys(keys):
                if not self._put(key, watermark_ms, place, event_time_ms, event_id, text):
                    assert watermark_ms is not None
                    self._late.append(Late(key, offset, event_time_ms, watermark_ms, event_id, text, index))
        if believed and (self._newest_ms is None or event_time_ms > self._newest_ms):
            self._newest_ms = event_time_ms
            self._close_passed(event_time_ms - self._lateness_ms)

    def take_closed(self) -> list[Window]:
        """Windows closed since the last call, in the order in which they were closed."""
        closed, self._closed = self._closed, []
        return closed

    def take_late(self) -> list[Late]:
        """Late lines since the last call, in order of their offsets."""
        late, self._late = self._late, []
        return late

    def close_idle(self) -> None:
        """Close every open window because the clock says that nothing comes; a later line of a key opens a new one."""
        self.flush("idle")

    def flush(self, closed_by: str = "shutdown") -> None:
        """Close every open window, in order of first line: the input has ended."""
        for slot, _ in sorted(self._open.items(), key=lambda item: (item[1].first, item[0])):
            self._close(slot, closed_by)
        self._deadlines.clear()

    def snapshot(self) -> bytes:
        """The whole state; restored, the cutter goes on as if nothing had happened."""
        events, windows = window_state.pack(self._open.values())
        return window_state.write(
            State(
                system=self._system,
                topic=self._topic,
                partition=self._partition,
                rule=self._rule,
                last_offset=None if self._last is None else self._last[0],
                newest_ms=self._newest_ms,
                events=events,
                open=windows,
                remembered=list(self._remembered.items()),
                closed=self._closed,
                late=self._late,
                last_index=0 if self._last is None else self._last[1],
            )
        )

    @classmethod
    def restore(
        cls,
        data: bytes,
        system: str,
        spec: WindowSpec,
        topic: str,
        partition: int,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> "WindowCutter":
        """The cutter of a snapshot; lateness and max_future may differ from the snapshot's.

        Raises:
            SnapshotError: the snapshot is corrupt, of another version, of another partition or of other window rules.
        """
        state = window_state.read(data)
        cutter = cls(system, spec, topic, partition, now_ms)
        found = (state.system, state.topic, state.partition, state.rule)
        wanted = (system, topic, partition, cutter._rule)
        if found != wanted:
            raise SnapshotError(
                f"window snapshot must be of {wanted}, got {found}: restart the windows after a change of rules"
            )
        cutter._load(state)
        return cutter

    def _load(self, state: State) -> None:
        self._last = None if state.last_offset is None else (state.last_offset, state.last_index)
        self._newest_ms = state.newest_ms
        self._open = {(window.key, window.bucket): window for window in window_state.unpack(state.events, state.open)}
        self._deadlines = list(self._due(self._open.items()))
        heapq.heapify(self._deadlines)
        self._remembered = dict(state.remembered)
        self._forget_at = [(closed_ms + 2 * self._rule.idle_ms, key) for key, closed_ms in state.remembered]
        heapq.heapify(self._forget_at)
        self._closed, self._late = state.closed, state.late
        watermark_ms = self.watermark_ms
        if watermark_ms is not None:  # a smaller lateness than the snapshot's may have passed some
            self._close_passed(watermark_ms)

    def _believed(self, event_time_ms: int) -> tuple[int, bool]:
        now_ms = self._now_ms()
        if event_time_ms <= now_ms + self._max_future_ms:
            return event_time_ms, True
        return (now_ms if self._newest_ms is None else self._newest_ms), False

    def _session(
        self, key: str, watermark_ms: int | None, place: Place, event_time_ms: int, event_id: str, text: str
    ) -> bool:
        slot, idle_ms = (key, 0), self._rule.idle_ms
        window = self._open.get(slot)
        if window is not None and event_time_ms - window.max_ms > idle_ms:
            self._close(slot, "gap")
        elif window is None and watermark_ms is not None:
            if event_time_ms + idle_ms < watermark_ms:
                return False
            closed_ms = self._remembered.get(key)
            if closed_ms is not None and event_time_ms <= closed_ms + idle_ms:
                return False
        self._append(slot, place, event_time_ms, event_id, text)
        return True

    def _tumbling(
        self, key: str, watermark_ms: int | None, place: Place, event_time_ms: int, event_id: str, text: str
    ) -> bool:
        bucket = event_time_ms // self._rule.size_ms
        if watermark_ms is not None and (bucket + 1) * self._rule.size_ms <= watermark_ms:
            return False
        self._append((key, bucket), place, event_time_ms, event_id, text)
        return True

    def _count(self, key: str, _: int | None, place: Place, event_time_ms: int, event_id: str, text: str) -> bool:
        self._append((key, 0), place, event_time_ms, event_id, text)
        return True

    def _append(self, slot: Slot, place: Place, event_time_ms: int, event_id: str, text: str) -> None:
        window = self._open.get(slot)
        if window is None:
            window = self._open[slot] = OpenWindow(*slot, event_time_ms)
            lines = window.append(place[0], event_time_ms, event_id, text, place[1])
            for entry in self._due([(slot, window)]):
                heapq.heappush(self._deadlines, entry)
        else:
            lines = window.append(place[0], event_time_ms, event_id, text, place[1])
        if lines >= self._rule.max_lines:
            self._close(slot, "size")

    def _due(self, windows: Iterable[tuple[Slot, OpenWindow]]) -> Iterable[tuple[int, Place, Slot]]:
        """(deadline, first line, slot) of each window: it is closed once the watermark is above the deadline."""
        kind, idle_ms, size_ms = self._rule.kind, self._rule.idle_ms, self._rule.size_ms
        if kind == "session":
            return ((window.max_ms + idle_ms, window.first, slot) for slot, window in windows)
        if kind == "tumbling":
            return (((slot[1] + 1) * size_ms - 1, window.first, slot) for slot, window in windows)
        return ()

    def _close_passed(self, watermark_ms: int) -> None:
        heap = self._deadlines
        while heap and heap[0][0] < watermark_ms:
            deadline_ms, first, slot = heapq.heappop(heap)
            window = self._open.get(slot)
            if window is None or window.first != first:
                continue  # closed by gap or size since
            (entry,) = self._due([(slot, window)])
            if entry[0] > deadline_ms:
                heapq.heappush(heap, entry)
                continue
            self._close(slot, "watermark")
            if self._rule.kind == "session":
                self._remembered[window.key] = window.max_ms
                heapq.heappush(self._forget_at, (window.max_ms + 2 * self._rule.idle_ms, window.key))
        forget_at = self._forget_at
        while forget_at and forget_at[0][0] < watermark_ms:
            forget_ms, key = heapq.heappop(forget_at)
            # Beyond this point such a line is late by the watermark itself. A later closing has an entry of its own.
            if self._remembered.get(key) == forget_ms - 2 * self._rule.idle_ms:
                del self._remembered[key]

    def _close(self, slot: Slot, closed_by: str) -> None:
        window = self._open.pop(slot)
        self._closed.append(
            Window(
                id=window_id(self._system, window.key, self._topic, self._partition, *window.first),
                system=self._system,
                kind=self._rule.kind,
                key=window.key,
                topic=self._topic,
                partition=self._partition,
                offsets=tuple(window.offsets),
                event_ids=tuple(window.event_ids),
                times_ms=tuple(window.times_ms),
                start_ms=window.min_ms,
                end_ms=window.max_ms,
                closed_by=closed_by,
                truncated=closed_by == "size" and self._rule.kind == "session",
                samples=tuple(window.samples.items()),
                indexes=tuple(window.indexes),
            )
        )
        if len(self._deadlines) > 2 * len(self._open) + _SPARE_DEADLINES:
            # Windows that close by gap or size leave their entries behind.
            self._deadlines[:] = self._due(self._open.items())
            heapq.heapify(self._deadlines)
