"""The two kinds of lines of a run. Only the line of a source can hold a label."""

from dataclasses import dataclass

UNKNOWN_TIME_MS = -1
"""Record time of a line of a file, which has none: a line without a time of its own takes that of the line before."""


@dataclass(frozen=True, slots=True)
class Line:
    """A record of a topic or a line of a file.

    Attributes:
        value: its bytes; None for a tombstone.
        timestamp: time stamp of the record in milliseconds, or `UNKNOWN_TIME_MS`.
        topic, partition, offset: its place; for a file the file's name, 0 and the number of the line from 0.
    """

    value: bytes | None
    timestamp: int
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class TargetLine(Line):
    """A line of the target without labels, exactly as the agent will see it."""


@dataclass(frozen=True, slots=True)
class SourceLine(Line):
    """A line of the labelled source; `label` is None where it has none."""

    label: bool | None = None
