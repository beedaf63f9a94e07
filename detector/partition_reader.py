"""From a partition's records to its lines and windows: the only place where reading, parsing and cutting are composed.

Agent, trainer, demo and bench read through this module, so they see the same lines and cut the same windows. What it
does inside may change without a change outside, as long as a batch of records gives the same `ReadBatch`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from detector.errors import DecodeError
from detector.input.line_reader import LineReader
from detector.parsing.masking import Masker
from detector.parsing.parser import Event, LineParser
from detector.parsing.templates import TemplateMatcher
from detector.system import SystemSpec
from detector.windowing.cutter import WindowCutter, wall_clock_ms
from detector.windowing.state import Late, Place, Window


class RawRecord(Protocol):
    """A record of a raw topic or a line of a file; `timestamp` in milliseconds, None or negative where unknown."""

    @property
    def offset(self) -> int:
        """Offset in the partition."""

    @property
    def timestamp(self) -> int | None:
        """Time stamp of the record."""

    @property
    def value(self) -> bytes | None:
        """Its bytes; None for a tombstone."""


class InputRecord(NamedTuple):
    """A record without Kafka."""

    offset: int
    value: bytes | None
    timestamp: int | None = None


class ReadLine(msgspec.Struct, frozen=True, gc=False):
    """A line as read and parsed.

    Attributes:
        place: offset of its record, and its index among the record's lines.
        event_time_ms: time in the record's content or in the line; None where neither holds one.
        record_time_ms: what stands in for a missing event time: the record's time stamp, else that of the clock, or
            with `carry_times` the time of the line before it.
        keys: distinct keys that the line names.
        event: its event.
        text: the message alone, without time stamp, component, level and label.
    """

    place: Place
    event_time_ms: int | None
    record_time_ms: int
    keys: tuple[str, ...]
    event: Event
    text: str

    @property
    def time_ms(self) -> int:
        """The time by which windows are cut."""
        return self.record_time_ms if self.event_time_ms is None else self.event_time_ms


class Unreadable(NamedTuple):
    """A record without a readable line, and why."""

    offset: int
    error: DecodeError


class ReadBatch(NamedTuple):
    """What a batch of records holds; each list in the order in which it came about."""

    lines: list[ReadLine]
    closed: list[Window]
    late: list[Late]
    unreadable: list[Unreadable]


class SystemReader:
    """What the partitions of a system share: its settings, and how its records are read and parsed.

    Args:
        spec: the system.
        matcher: the frozen templates; `swap` puts others in their place.
        now_ms: the clock, milliseconds since the epoch.
        carry_times: a record without a time stamp takes the time of the line before it (lines of a file), else the
            clock's. For bounded input: that time is in no snapshot.
    """

    def __init__(
        self,
        spec: SystemSpec,
        matcher: TemplateMatcher,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        carry_times: bool = False,
    ) -> None:
        self.spec = spec
        self.now_ms = now_ms
        self.carry_times = carry_times
        self._reader = LineReader(spec)
        self._masker = Masker(spec.masks, spec.max_tokens)
        self.swap(matcher)

    def swap(self, matcher: TemplateMatcher) -> None:
        """Parse with other templates from the next line on."""
        self._parser = LineParser(self._masker, matcher)

    def lines(self, record: RawRecord, carried_ms: int = 0) -> list[ReadLine]:
        """The lines of a record, parsed.

        Args:
            record: the record.
            carried_ms: time of the line before it, for `carry_times`.

        Raises:
            DecodeError: it holds no readable line.
        """
        stamp = record.timestamp
        unknown = stamp is None or stamp < 0
        # A time that names no year lies before its record's time stamp; without one, before now.
        record_ms = self.now_ms() if stamp is None or unknown else stamp
        carry = unknown and self.carry_times
        fallback_ms = carried_ms if carry else record_ms
        parse = self._parser.event
        try:
            lines: list[ReadLine] = []
            for index, line in enumerate(self._reader.lines(record.value, record_ms)):
                time_ms, text = line.event_time_ms, line.text
                lines.append(ReadLine((record.offset, index), time_ms, fallback_ms, line.keys, parse(text), text))
                if carry and time_ms is not None:
                    fallback_ms = time_ms
        except DecodeError:
            raise
        except Exception as error:  # else one record would end the agent at every start
            raise DecodeError("undecodable", f"value must be readable, got {type(error).__name__}: {error}") from error
        return lines


class PartitionReader:
    """Reads one partition of a system: batches of records in, lines and closed windows out."""

    def __init__(self, system: SystemReader, topic: str, partition: int) -> None:
        self._system = system
        self._cutter = WindowCutter(system.spec.name, system.spec.window, topic, partition, system.now_ms)
        self._last_ms = 0

    @classmethod
    def restore(cls, system: SystemReader, topic: str, partition: int, snapshot: bytes) -> "PartitionReader":
        """The reader that `snapshot` was taken of.

        Raises:
            SnapshotError: the snapshot is corrupt, of another version, of another partition or of other window rules.
        """
        reader = cls(system, topic, partition)
        spec = system.spec
        reader._cutter = WindowCutter.restore(snapshot, spec.name, spec.window, topic, partition, system.now_ms)
        return reader

    @property
    def open_windows(self) -> int:
        """How many windows are open."""
        return self._cutter.open_windows

    @property
    def watermark_ms(self) -> int | None:
        """Newest event time less the allowed lateness; None before the first line."""
        return self._cutter.watermark_ms

    def open_event_ids(self) -> set[str]:
        """Event ids in open windows."""
        return self._cutter.open_event_ids()

    def read(self, records: Sequence[RawRecord]) -> ReadBatch:
        """Take the next records, in the order of the partition.

        A record whose lines cannot all be read and parsed is unreadable as a whole.

        Raises:
            ValueError: an offset is not above the one before.
        """
        lines: list[ReadLine] = []
        unreadable: list[Unreadable] = []
        for record in records:
            try:
                found = self._system.lines(record, self._last_ms)
            except DecodeError as error:
                unreadable.append(Unreadable(record.offset, error))
                continue
            for line in found:
                self._last_ms = line.time_ms
                offset, index = line.place
                self._cutter.add(offset, line.time_ms, line.keys, line.event.id, line.text, index)
            lines += found
        return ReadBatch(lines, self._cutter.take_closed(), self._cutter.take_late(), unreadable)

    def flush(self, closed_by: str = "shutdown") -> list[Window]:
        """Close every open window because the input has ended, or no line came for a while (`idle`); the windows."""
        self._cutter.flush(closed_by)
        return self._cutter.take_closed()

    def snapshot(self) -> bytes:
        """The open windows; restored, the reader goes on as if nothing had happened."""
        return self._cutter.snapshot()
