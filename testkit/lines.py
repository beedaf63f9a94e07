"""A line as a shipper sends it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line to produce.

    Attributes:
        row: index of the line in its file; known to the benchmark alone.
        value: the line as it goes to Kafka, without any label.
        key: what keeps the lines of a window in one partition.
        time_ms: the line's own time stamp.
    """

    row: int
    value: bytes
    key: bytes
    time_ms: int
