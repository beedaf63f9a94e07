"""Windows cut a second time, from the raw topic's records, with nothing of `detector` in it.

The rules are those of docs/streaming.md#windows, reduced to logs whose times never go back (both real targets, which is
checked): nothing is late then, a session ends where two lines of a key lie more than `idle` apart, a tumbling window
is a node and a minute, and either is cut after `max_lines`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from testkit.errors import TestkitError

_NODE = re.compile(rb"^(?P<seconds>\d{10}) \d{4}\.\d\d\.\d\d (?P<node>\S+) ")
_BLOCK_ID = re.compile(rb"blk_-?[0-9]+")
_STAMP = re.compile(rb"^\d{6} \d{6} ")


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a raw topic."""

    partition: int
    offset: int
    time_ms: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A window: where it is and which lines it holds."""

    key: str
    partition: int
    offsets: tuple[int, ...]
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class _Keyed:
    key: str
    offset: int
    time_ms: int


def cut(
    records: Iterable[Record], system: str, *, idle_ms: int = 86_400_000, size_ms: int = 60_000, max_lines: int = 512
) -> list[Cut]:
    """All windows of the records, ordered by partition and first offset.

    Raises:
        TestkitError: the times of a partition go back, so that these plain rules do not hold.
    """
    partitions: dict[int, list[_Keyed]] = {}
    newest: dict[int, int] = {}
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        time_ms, keys = _read_hdfs(record) if system == "hdfs" else _read_bgl(record)
        if time_ms < newest.get(record.partition, time_ms):
            raise TestkitError(f"times must not go back, got offset {record.offset} of partition {record.partition}")
        newest[record.partition] = time_ms
        partitions.setdefault(record.partition, []).extend(_Keyed(key, record.offset, time_ms) for key in keys)
    cuts: list[Cut] = []
    for partition, lines in partitions.items():
        groups = _sessions(lines, idle_ms) if system == "hdfs" else _tumbling(lines, size_ms)
        cuts.extend(_window(partition, chunk) for group in groups for chunk in _chunks(group, max_lines))
    return sorted(cuts, key=lambda window: (window.partition, window.offsets[0], window.key))


def _read_bgl(record: Record) -> tuple[int, list[str]]:
    match = _NODE.match(record.value)
    if match is None:
        return record.time_ms, []
    return int(match["seconds"]) * 1000, [match["node"].decode()]


def _read_hdfs(record: Record) -> tuple[int, list[str]]:
    keys = [block.decode() for block in dict.fromkeys(_BLOCK_ID.findall(record.value))]
    if _STAMP.match(record.value) is None:
        return record.time_ms, keys
    stamp = datetime.strptime(record.value[:13].decode() + "+0000", "%y%m%d %H%M%S%z").astimezone(UTC)
    return int(stamp.timestamp()) * 1000, keys


def _sessions(lines: Sequence[_Keyed], idle_ms: int) -> list[list[_Keyed]]:
    """Lines of a key, broken where the next one comes more than `idle_ms` after the one before."""
    by_key: dict[str, list[list[_Keyed]]] = {}
    for line in lines:
        runs = by_key.setdefault(line.key, [])
        if runs and line.time_ms - runs[-1][-1].time_ms <= idle_ms:
            runs[-1].append(line)
        else:
            runs.append([line])
    return [run for runs in by_key.values() for run in runs]


def _tumbling(lines: Sequence[_Keyed], size_ms: int) -> list[list[_Keyed]]:
    buckets: dict[tuple[str, int], list[_Keyed]] = {}
    for line in lines:
        buckets.setdefault((line.key, line.time_ms // size_ms), []).append(line)
    return list(buckets.values())


def _chunks(lines: list[_Keyed], size: int) -> list[list[_Keyed]]:
    return [lines[start : start + size] for start in range(0, len(lines), size)]


def _window(partition: int, lines: Sequence[_Keyed]) -> Cut:
    times = [line.time_ms for line in lines]
    return Cut(lines[0].key, partition, tuple(line.offset for line in lines), min(times), max(times))
