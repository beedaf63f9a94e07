"""A warning for systems whose lines begin with a time that their layout does not read."""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

import structlog

from detector.system import SystemSpec
from trainer.data.lines import UNKNOWN_TIME_MS, Line

Role = Literal["source", "target"]

_HEAD_LINES = 1_000
# Beginnings of lines with a time, and the pattern and format that read it; without backslashes, which logs and shells
# escape.
_DATED = (
    (
        re.compile(rb"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d"),
        "[^0-9]?(?P<time>[0-9]{4}-[0-9-]+[T ][^] ]+)[]]? (?P<message>.*)",
        "iso",
    ),
    (
        re.compile(rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "),
        "(?P<time>[A-Z][a-z]+ +[0-9]+ [0-9:]+) (?P<message>.*)",
        "%b %d %H:%M:%S",
    ),
)


def keep_head(lines: Iterable[Line], head: list[Line]) -> Iterator[Line]:
    """Pass lines on, and append the first thousand to `head`."""
    for line in lines:
        if len(head) < _HEAD_LINES:
            head.append(line)
        yield line


def warn_of_unread_times(head: list[Line], spec: SystemSpec, role: Role) -> None:
    """Warn of lines of text that begin with a time which the plain layout does not read: windows need event times."""
    if spec.layout != "plain" or spec.format == "json":
        return
    for begins, pattern, time_format in _DATED:
        dated = sum(begins.match(line.value) is not None for line in head if line.value is not None)
        if dated * 2 <= len(head):
            continue
        prefix = "--source-" if role == "source" else "--"
        structlog.get_logger(__name__).warning(
            "times in lines are not read",
            system=spec.name,
            lines=f"{dated} of the first {len(head)} begin with a time",
            event_time="the order in the file alone" if head[0].timestamp == UNKNOWN_TIME_MS else "the records'",
            options=f"{prefix}line-pattern '{pattern}' {prefix}time-format '{time_format}' (layout custom)",
        )
