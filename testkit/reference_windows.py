"""Windows cut a second time, from the raw topic's records, with nothing of `detector` in it.

A line belongs to every key it names. A session ends where two lines of a key, in offset order, lie more than `gap_ms`
apart in time; a tumbling window is a key and an interval of `gap_ms`; either is cut after `max_lines`. These plain
rules hold where no line is late, so a record whose time goes back is an error.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from testkit.errors import TestkitError

_NODE = re.compile(rb"^(?P<seconds>\d{10}) \d{4}\.\d\d\.\d\d (?P<node>\S+) ")
_BLOCK_ID = re.compile(rb"blk_-?[0-9]+")
_STAMP = re.compile(rb"^\d{6} \d{6} ")


@dataclass(frozen=True, slots=True)
class TopicLine:
    """A line of a raw topic; `index` is its place among the lines of its record."""

    partition: int
    offset: int
    time_ms: int
    value: bytes
    index: int = 0


@dataclass(frozen=True, slots=True)
class ReferenceWindow:
    """A window: its key, its partition, and the places (offset, index) of its lines."""

    key: str
    partition: int
    places: tuple[tuple[int, int], ...]
    start_ms: int
    end_ms: int

    @property
    def offsets(self) -> tuple[int, ...]:
        """Offset of each line."""
        return tuple(offset for offset, _ in self.places)


@dataclass(frozen=True)
class Rule:
    """How a system's windows are cut.

    Attributes:
        read: time (milliseconds) and keys of a line.
        kind: kind of window.
        gap_ms: longest pause within a session, or length of a tumbling window.
        max_lines: most lines of a window.
    """

    read: Callable[[TopicLine], tuple[int, list[str]]]
    kind: Literal["session", "tumbling"]
    gap_ms: int
    max_lines: int = 512


def session_rule(key_pattern: str, gap_ms: int) -> Rule:
    """Sessions by the first group of a pattern, with the record's own time."""
    pattern = re.compile(key_pattern)

    def read(record: TopicLine) -> tuple[int, list[str]]:
        return record.time_ms, list(dict.fromkeys(pattern.findall(record.value.decode("utf-8", "replace"))))

    return Rule(read, "session", gap_ms)


@dataclass(frozen=True, slots=True)
class _Line:
    place: tuple[int, int]
    time_ms: int


def reference_windows(records: Iterable[TopicLine], rule: Rule) -> list[ReferenceWindow]:
    """All windows of the records, ordered by partition and first line.

    Raises:
        TestkitError: the times of a partition go back, so that these plain rules do not hold.
    """
    lines: dict[tuple[int, str], list[_Line]] = {}
    newest: dict[int, int] = {}
    for record in sorted(records, key=lambda record: (record.partition, record.offset, record.index)):
        time_ms, keys = rule.read(record)
        if time_ms < newest.get(record.partition, time_ms):
            raise TestkitError(f"times must not go back, got offset {record.offset} of partition {record.partition}")
        newest[record.partition] = time_ms
        for key in keys:
            lines.setdefault((record.partition, key), []).append(_Line((record.offset, record.index), time_ms))
    group = _sessions if rule.kind == "session" else _tumbling
    windows = [
        _window(key, partition, group_lines[start : start + rule.max_lines])
        for (partition, key), key_lines in lines.items()
        for group_lines in group(key_lines, rule.gap_ms)
        for start in range(0, len(group_lines), rule.max_lines)
    ]
    return sorted(windows, key=lambda window: (window.partition, window.places[0], window.key))


def _sessions(lines: Sequence[_Line], gap_ms: int) -> list[list[_Line]]:
    sessions: list[list[_Line]] = []
    for line in lines:
        if sessions and line.time_ms - sessions[-1][-1].time_ms <= gap_ms:
            sessions[-1].append(line)
        else:
            sessions.append([line])
    return sessions


def _tumbling(lines: Sequence[_Line], size_ms: int) -> list[list[_Line]]:
    buckets: dict[int, list[_Line]] = {}
    for line in lines:
        buckets.setdefault(line.time_ms // size_ms, []).append(line)
    return list(buckets.values())


def _window(key: str, partition: int, lines: Sequence[_Line]) -> ReferenceWindow:
    return ReferenceWindow(key, partition, tuple(line.place for line in lines), lines[0].time_ms, lines[-1].time_ms)


def _read_bgl(record: TopicLine) -> tuple[int, list[str]]:
    match = _NODE.match(record.value)
    if match is None:
        return record.time_ms, []
    return int(match["seconds"]) * 1000, [match["node"].decode()]


def _read_hdfs(record: TopicLine) -> tuple[int, list[str]]:
    keys = [block.decode() for block in dict.fromkeys(_BLOCK_ID.findall(record.value))]
    if _STAMP.match(record.value) is None:
        return record.time_ms, keys
    stamp = datetime.strptime(record.value[:13].decode() + "+0000", "%y%m%d %H%M%S%z").astimezone(UTC)
    return int(stamp.timestamp()) * 1000, keys


RULES = {
    "bgl": Rule(_read_bgl, "tumbling", 60_000),
    "hdfs": Rule(_read_hdfs, "session", 86_400_000),
}
"""The rules of the recorded systems."""
