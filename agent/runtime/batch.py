"""What the consumer delivers: fetched batches, and the positions of a partition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.stages.stage import KafkaRecord


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition as they were fetched.

    Attributes:
        epoch: rises with every seek of the partition; a batch of an older epoch was read before that seek.
        serial: 1, 2, 3, … within an epoch; a gap means that a batch was lost on the way.
    """

    epoch: int
    serial: int
    records: Sequence[KafkaRecord]


@dataclass(frozen=True)
class CommittedPosition:
    """What the group has committed for a partition (None: nothing yet), and both ends of the partition's log."""

    committed: int | None
    metadata: str
    beginning: int
    end: int


@dataclass(frozen=True)
class FetchProgress:
    """How far a partition has been fetched.

    Attributes:
        position: the next offset to be fetched; transaction markers and compacted records are below it.
        end: end of the partition's log, as of the last fetch.
        serial: of the last batch fetched.
    """

    position: int | None
    end: int | None
    serial: int

    def lag(self, processed: int) -> int:
        """Offsets not yet processed, given the next one to be processed."""
        return 0 if self.end is None else max(0, self.end - processed)


class GroupConsumer(Protocol):
    """What a checkpoint needs of the consumer; partitions are Faust's `TP` (topic, partition)."""

    async def positions(self, partitions: Sequence[Any]) -> dict[Any, CommittedPosition]:
        """Committed offset with its metadata, and both ends of the log, of each partition."""

    async def seek_all(self, positions: Mapping[Any, int]) -> tuple[int, dict[Any, int]]:
        """Seek; the group's generation, and the new epoch of each partition."""

    async def commit_named(self, commits: Mapping[Any, tuple[int, str]], generation: int) -> None:
        """Commit positions with metadata; StaleGeneration if the group is no longer of that generation."""

    async def progress(self, partitions: Sequence[Any]) -> dict[Any, FetchProgress]:
        """How far each partition has been fetched; those that are not assigned are left out."""
