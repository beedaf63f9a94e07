"""Lines of a recorded log, and places of records in a topic."""

from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """Partition and offset of a record."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class RecordedLine:
    """A line of a recorded log, as a shipper would send it.

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
