"""Cutting a partition's lines into windows (docs/streaming.md#windows; paper section II for `count`).

Data decides membership, time only decides when a window is closed: the windows are a function of the records in the
order of their partition, and do not depend on batches or on where a snapshot was taken and restored.

The watermark is the newest event time so far less the allowed lateness. A line is compared with the
watermark before it, then moves the watermark, then every window that the watermark has passed is closed.
"""

import hashlib
import heapq
import time
from collections.abc import Callable, Sequence

from detector.errors import SnapshotError
from detector.windowing import state as window_state
from detector.windowing.kinds.base import Decision
from detector.windowing.spec import WindowSpec, milliseconds
from detector.windowing.state import Late, OpenWindow, Place, State, Window

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
        self._rule = spec.rule()
        self._kind = spec.make_kind()
        self._lateness_ms = milliseconds(spec.lateness_seconds)
        self._max_future_ms = milliseconds(spec.max_future_seconds)
        self._now_ms = now_ms
        self._newest_ms: int | None = None
        self._last: Place | None = None
        self._open: dict[Slot, OpenWindow] = {}
        # Heaps are lazy: an entry may be out of date; it is checked, and put back if so, when it comes up.
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
        """Event ids in windows that are open, or closed but not yet taken."""
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
        now_ms = self._now_ms()
        plausible = event_time_ms <= now_ms + self._max_future_ms
        if not plausible:
            event_time_ms = now_ms if self._newest_ms is None else self._newest_ms
        if keys:
            watermark_ms = self.watermark_ms
            for key in keys if len(keys) == 1 else dict.fromkeys(keys):
                if not self._put(key, watermark_ms, place, event_time_ms, event_id, text):
                    assert watermark_ms is not None
                    self._late.append(Late(key, offset, event_time_ms, watermark_ms, event_id, text, index))
        if plausible and (self._newest_ms is None or event_time_ms > self._newest_ms):
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

    def flush(self, closed_by: str = "shutdown") -> None:
        """Close every open window, in order of first line; a later line of a key opens a new one."""
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
        cutter._last = None if state.last_offset is None else (state.last_offset, state.last_index)
        cutter._newest_ms = state.newest_ms
        cutter._open = {(window.key, window.bucket): window for window in window_state.unpack(state.events, state.open)}
        cutter._rebuild_deadlines()
        cutter._remembered = dict(state.remembered)
        cutter._forget_at = [(closed_ms + cutter._kind.memory_ms, key) for key, closed_ms in state.remembered]
        heapq.heapify(cutter._forget_at)
        cutter._closed, cutter._late = state.closed, state.late
        if cutter.watermark_ms is not None:  # a smaller lateness than the snapshot's may have passed some
            cutter._close_passed(cutter.watermark_ms)
        return cutter

    def _put(
        self, key: str, watermark_ms: int | None, place: Place, event_time_ms: int, event_id: str, text: str
    ) -> bool:
        """Put a line into its window; False where it is late."""
        kind, slot = self._kind, (key, self._kind.bucket(event_time_ms))
        window = self._open.get(slot)
        decision = kind.decide(window, event_time_ms, watermark_ms, self._remembered.get(key))
        if decision is Decision.LATE:
            return False
        if decision is Decision.NEXT:
            self._close(slot, "gap")
            window = None
        begins = window is None
        if window is None:
            window = self._open[slot] = OpenWindow(*slot, event_time_ms)
        lines = window.append(place, event_time_ms, event_id, text)
        if begins and (deadline_ms := kind.deadline_ms(window)) is not None:
            heapq.heappush(self._deadlines, (deadline_ms, place, slot))
        if lines >= self._rule.max_lines:
            self._close(slot, "size")
        return True

    def _rebuild_deadlines(self) -> None:
        deadline_of = self._kind.deadline_ms
        self._deadlines[:] = [
            (deadline_ms, window.first, slot)
            for slot, window in self._open.items()
            if (deadline_ms := deadline_of(window)) is not None
        ]
        heapq.heapify(self._deadlines)

    def _close_passed(self, watermark_ms: int) -> None:
        heap, memory_ms = self._deadlines, self._kind.memory_ms
        while heap and heap[0][0] < watermark_ms:
            deadline_ms, first, slot = heapq.heappop(heap)
            window = self._open.get(slot)
            if window is None or window.first != first:
                continue  # closed by gap or size since
            moved_ms = self._kind.deadline_ms(window)
            if moved_ms is not None and moved_ms > deadline_ms:
                heapq.heappush(heap, (moved_ms, first, slot))
                continue
            self._close(slot, "watermark")
            if memory_ms:
                self._remembered[window.key] = window.max_ms
                heapq.heappush(self._forget_at, (window.max_ms + memory_ms, window.key))
        forget_at = self._forget_at
        while forget_at and forget_at[0][0] < watermark_ms:
            forget_ms, key = heapq.heappop(forget_at)
            # A later closing has an entry of its own.
            if self._remembered.get(key) == forget_ms - memory_ms:
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
                truncated=closed_by == "size" and self._kind.marks_truncated,
                samples=tuple(window.samples.items()),
                indexes=tuple(window.indexes),
            )
        )
        if len(self._deadlines) > 2 * len(self._open) + _SPARE_DEADLINES:
            self._rebuild_deadlines()  # windows that close by gap or size leave their entries behind
