"""The two kinds of lines of a run. Only the line of a source can hold a label."""

from dataclasses import dataclass

UNKNOWN_TIME_MS = -1
"""Record time of a line of a file, which has none: a line without a time of its own takes that of the line before."""


@dataclass(frozen=True, slots=True)
class TargetLine:
    """A line of the target, exactly as the agent will see it.

    Attributes:
        value: bytes of the record without labels; None for a tombstone.
        record_time_ms: time stamp of the record, or `UNKNOWN_TIME_MS`.
        topic, partition, offset: its place; for a file the file's name, 0 and the number of the line from 0.
    """

    value: bytes | None
    record_time_ms: int
    topic: str
    partition: int
    offset: int

    @property
    def timestamp(self) -> int | None:
        """Time stamp of the record; None where it is unknown."""
        return None if self.record_time_ms == UNKNOWN_TIME_MS else self.record_time_ms


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of the labelled source.

    Attributes:
        value, record_time_ms, topic, partition, offset: as of a target's line.
        label: whether the line is anomalous; None where the line has no label.
    """

    value: bytes | None
    record_time_ms: int
    topic: str
    partition: int
    offset: int
    label: bool | None = None

    @property
    def timestamp(self) -> int | None:
        """Time stamp of the record; None where it is unknown."""
        return None if self.record_time_ms == UNKNOWN_TIME_MS else self.record_time_ms
