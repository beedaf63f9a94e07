"""The two kinds of lines a run reads. Only a source's line has a place for a label."""

from dataclasses import dataclass

UNKNOWN_TIME_MS = -1
"""Record time of a line of a file: files have none, so a line without a time of its own takes the line's before it."""


@dataclass(frozen=True, slots=True)
class TargetLine:
    """A line of the target: what the agent will see of it, and nothing else.

    Attributes:
        value: the record's bytes, labels taken out; None for a tombstone.
        record_time_ms: time stamp of the record, or `UNKNOWN_TIME_MS`.
        topic, partition, offset: where it stands; for a file its name, 0 and the number of the line from 0.
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
        label: whether the line is anomalous; None where the line itself does not say.
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
