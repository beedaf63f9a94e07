"""Labels in a file beside a log: a CSV with a label per window key, or with the times of incidents."""

import csv
import io
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from detector.windowing.state import Window
from trainer.data.files import open_binary
from trainer.data.line_labels import label_of
from trainer.errors import SourceError
from trainer.replay_range import parse_time_ms

_KEY_COLUMNS = ("blockid", "block_id", "key", "instance_id", "session", "id")
_LABEL_COLUMNS = ("label", "anomalous")
_START_COLUMNS, _END_COLUMNS = ("start", "starts_at", "begin"), ("end", "ends_at")
_HOST_COLUMNS = ("key", "host", "node")
_CONVENTIONS = "BlockId,Label (a label per key) or start,end[,key] (times of incidents)"

Interval = tuple[int, int]
Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class KeyLabels:
    """A label per window key (Loghub's `anomaly_label.csv`); a key that is not listed is normal."""

    anomalous: frozenset[str]

    def label(self, window: Window) -> bool:
        """Whether the window's key is listed as anomalous."""
        return window.key in self.anomalous


@dataclass(frozen=True)
class IncidentLabels:
    """Times of incidents, per key or for all: a window with a line inside one is probably anomalous.

    A window outside is not known to be normal. A signature's label is a share of windows, so a sequence that occurs
    outside incidents, too, gets a label near 0: the weighting of positive and unlabelled examples.
    """

    everywhere: tuple[Interval, ...]
    by_key: Mapping[str, tuple[Interval, ...]]

    def label(self, window: Window) -> bool:
        """Whether a line of the window falls into an incident of its key or of all keys."""
        of_key = self.by_key.get(window.key, ())
        return any(_inside(self.everywhere, time) or _inside(of_key, time) for time in window.times_ms)


WindowLabels = KeyLabels | IncidentLabels


def read_window_labels(path: Path) -> WindowLabels:
    """Labels from a CSV file; the header decides which of the two kinds it is.

    Raises:
        SourceError: it cannot be read, or is of neither kind.
    """
    rows = _rows(path)
    header = [name.strip().lower() for name in next(rows, [])]
    start, end = _column(header, _START_COLUMNS), _column(header, _END_COLUMNS)
    if start is not None and end is not None:
        incidents: dict[str, list[Interval]] = {}
        for name, interval in _parsed(
            path, rows, lambda row: _incident(row, start, end, _column(header, _HOST_COLUMNS))
        ):
            incidents.setdefault(name, []).append(interval)
        merged = {name: _merged(intervals) for name, intervals in incidents.items()}
        return IncidentLabels(merged.pop("", ()), merged)
    key, label = _column(header, _KEY_COLUMNS), _column(header, _LABEL_COLUMNS)
    if key is not None and label is not None:
        keys = _parsed(path, rows, lambda row: row[key].strip() if label_of(row[label]) else None)
        return KeyLabels(frozenset(name for name in keys if name is not None))
    raise SourceError(f"{path} must have the columns {_CONVENTIONS}, got {','.join(header)[:200]!r}")


def _parsed(path: Path, rows: Iterator[list[str]], parse: Callable[[list[str]], Parsed]) -> Iterator[Parsed]:
    """What each row holds; an error names its line."""
    for number, row in enumerate(rows, start=2):
        try:
            if row:
                yield parse(row)
        except (IndexError, ValueError, SourceError) as error:
            reason = "a field is missing" if isinstance(error, IndexError) else error
            raise SourceError(f"{path}, line {number}: {reason}") from None


def _rows(path: Path) -> Iterator[list[str]]:
    with open_binary(path) as file:
        try:
            yield from csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))
        except (csv.Error, UnicodeDecodeError, EOFError, OSError) as error:
            raise SourceError(f"{path} must be CSV in UTF-8, got {error}") from error


def _column(header: Sequence[str], names: Iterable[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _incident(row: list[str], start: int, end: int, key: int | None) -> tuple[str, Interval]:
    interval = (_time_ms(row[start]), _time_ms(row[end]))
    if interval[0] > interval[1]:
        raise ValueError(f"start must not be after end, got {row[start]} and {row[end]}")
    return row[key].strip() if key is not None and key < len(row) else "", interval


def _time_ms(text: str) -> int:
    """An ISO time, or seconds or milliseconds since the epoch."""
    text = text.strip()
    if text.replace(".", "", 1).isdigit():
        number = float(text)
        return round(number if number >= 1e11 else number * 1000)  # noqa: PLR2004 (seconds are below for 3,000 years)
    return parse_time_ms(text)


def _merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The same times as intervals that do not overlap, in order."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _inside(intervals: tuple[Interval, ...], time_ms: int) -> bool:
    index = bisect_right(intervals, time_ms, key=lambda interval: interval[0]) - 1
    return index >= 0 and time_ms <= intervals[index][1]
