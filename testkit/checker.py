"""Was anything lost? Judged from topics alone: raw, windows, late, dlq, alerts, committed positions, named snapshots.

Four statements must hold, whatever processes were killed:

1. Every raw line below the committed position is, for each key it names, in exactly one closed window, in an open
   window of the snapshot that the position names, among the late lines, or a dead letter.
2. The closed windows are those of the reference cut: none is lost, none has other lines.
3. All records with one window id hold the same events.
4. Once input has stopped, the committed position is the end, and every anomalous window that is closed has its alert.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from schemas.closed_window import ClosedWindow
from testkit.reference_windows import ReferenceWindow, Rule, TopicLine, reference_windows

SHOWN = 3
LinePlace = tuple[int, int]
"""Offset of the record, and index of the line within it."""
Line = tuple[int, str, LinePlace]
"""Partition, key and place: a line as one window holds it. A window is named by its first line."""


@dataclass(frozen=True)
class OpenLines:
    """A window that is still open in a snapshot."""

    partition: int
    key: str
    places: tuple[LinePlace, ...]


@dataclass(frozen=True)
class Evidence:
    """What the topics hold.

    Attributes:
        raw: every line of the raw topic.
        windows: every record of the windows topic, repeated ones included.
        alerts: id of every record of the alerts topic, repeated ones included.
        late: the late lines.
        dead: partition and offset of the dead letters.
        open: open windows of the named snapshots.
        committed, ends: position and end of each raw partition.
    """

    raw: Sequence[TopicLine]
    windows: Sequence[ClosedWindow]
    alerts: Sequence[str]
    committed: Mapping[int, int]
    ends: Mapping[int, int]
    late: frozenset[Line] = frozenset()
    dead: frozenset[tuple[int, int]] = frozenset()
    open: Sequence[OpenLines] = ()


@dataclass(frozen=True)
class Audit:
    """The windows topic against the reference.

    Attributes:
        lost: windows of the reference that the topic lacks.
        partial: windows on the topic whose lines are not those of the reference's window that starts there, or that
            start where none does.
        repeated: records on the topic beyond one per window (allowed: at least once).
        contradictory: windows whose repeated records do not hold the same lines.
    """

    lost: list[Line]
    partial: list[Line]
    repeated: int
    contradictory: int


@dataclass(frozen=True)
class Verdict:
    """What does not hold, each named by its place; and what is allowed, counted.

    Attributes:
        unaccounted: lines below the committed position that are nowhere (statement 1).
        doubled: lines in two closed windows of one key (1).
        lost, partial: windows against the reference (2).
        contradictory: window ids with different contents (3).
        behind: partitions whose committed position is not the end (4).
        missing_alerts: ids of anomalous windows without an alert (4).
        stray_alerts: ids of alerts whose window is not on the topic, or not anomalous.
        windows, duplicate_windows, duplicate_alerts: distinct windows, and records beyond one per id.
    """

    unaccounted: list[Line] = field(default_factory=list)
    doubled: list[Line] = field(default_factory=list)
    lost: list[Line] = field(default_factory=list)
    partial: list[Line] = field(default_factory=list)
    contradictory: list[str] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)
    missing_alerts: list[str] = field(default_factory=list)
    stray_alerts: list[str] = field(default_factory=list)
    windows: int = 0
    duplicate_windows: int = 0
    duplicate_alerts: int = 0

    @property
    def problems(self) -> dict[str, str]:
        """Statement that is broken → how often, and the first places; empty when all hold."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: f"{len(places)}: {places[:SHOWN]}"
            for name, places in found.items()
            if isinstance(places, list) and places
        }


def check(evidence: Evidence, rule: Rule) -> Verdict:
    """Compare everything that the topics hold with what must be there, after input has stopped."""
    readable = (record for record in evidence.raw if (record.partition, record.offset) not in evidence.dead)
    reference = reference_windows(readable, rule)
    still_open = {(one.partition, one.key, one.places) for one in evidence.open}
    closed = [window for window in reference if (window.partition, window.key, window.places) not in still_open]
    found = audit(evidence.windows, closed)
    unaccounted, doubled = _lines(evidence, rule)
    contents: dict[str, set[tuple[object, ...]]] = {}
    for window in evidence.windows:
        members = (window.partition, window.key, places_of(window), window.event_hash)
        contents.setdefault(window.id, set()).add(members)
    anomalous = {window.id for window in evidence.windows if window.anomalous}
    alerts = set(evidence.alerts)
    return Verdict(
        unaccounted=unaccounted,
        doubled=doubled,
        lost=found.lost,
        partial=found.partial,
        contradictory=sorted(name for name, members in contents.items() if len(members) > 1),
        behind=sorted(number for number, end in evidence.ends.items() if evidence.committed.get(number, 0) != end),
        missing_alerts=sorted(anomalous - alerts),
        stray_alerts=sorted(alerts - anomalous),
        windows=len(contents),
        duplicate_windows=len(evidence.windows) - len(contents),
        duplicate_alerts=len(evidence.alerts) - len(alerts),
    )


def audit(windows: Sequence[ClosedWindow], reference: Iterable[ReferenceWindow]) -> Audit:
    """Compare by partition, key and places; ids of the program under test are not trusted here."""
    expected = {(one.partition, one.key, one.places[0]): one.places for one in reference}
    seen: dict[Line, set[tuple[LinePlace, ...]]] = {}
    for window in windows:
        places = places_of(window)
        seen.setdefault((window.partition, window.key, places[0]), set()).add(places)
    return Audit(
        lost=sorted(expected.keys() - seen.keys()),
        partial=sorted(first for first, found in seen.items() if found != {expected.get(first)}),
        repeated=len(windows) - len(seen),
        contradictory=sum(len(found) > 1 for found in seen.values()),
    )


def places_of(window: ClosedWindow) -> tuple[LinePlace, ...]:
    """Place of each line of a window's record."""
    return tuple(zip(window.offsets, window.indexes or (0,) * len(window.offsets), strict=True))


def _lines(evidence: Evidence, rule: Rule) -> tuple[list[Line], list[Line]]:
    """Lines that are nowhere, and lines that are in two closed windows of one key."""
    # Repeated records of one window hold the same places; other places are another window.
    distinct = {(window.partition, window.key, places_of(window)) for window in evidence.windows}
    closed = Counter((partition, key, place) for partition, key, places in distinct for place in set(places))
    open_lines = {(one.partition, one.key, place) for one in evidence.open for place in one.places}
    named = {
        (record.partition, key, (record.offset, record.index))
        for record in evidence.raw
        if record.offset < evidence.committed.get(record.partition, 0)
        and (record.partition, record.offset) not in evidence.dead
        for key in rule.read(record)[1]
    }
    unaccounted = named - closed.keys() - open_lines - evidence.late
    return sorted(unaccounted), sorted(line for line, count in closed.items() if count > 1)
