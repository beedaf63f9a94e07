"""Commit metadata that names a window snapshot, and the frame of a snapshot's chunk on the state topic.

A checkpoint of a raw partition is one offset commit: the position, and in its metadata where the snapshot of the
open windows lies on the state topic (same partition number) and what it must hash to.
"""

import re
from dataclasses import dataclass

from schemas.errors import RecordError

_METADATA = re.compile(r"^v1;base=(\d+);last=(\d+);sha=([0-9a-f]{64});gen=(-?\d+)$")


@dataclass(frozen=True)
class SnapshotName:
    """The snapshot that a committed position names.

    Attributes:
        base: offset of the snapshot's first chunk on the state topic.
        last: offset of its last chunk.
        sha256: hash of the assembled, compressed body.
        generation: consumer-group generation that wrote it.
    """

    base: int
    last: int
    sha256: str
    generation: int

    def metadata(self) -> str:
        """Commit metadata, well below the broker's limit of 4,096 bytes."""
        return f"v1;base={self.base};last={self.last};sha={self.sha256};gen={self.generation}"

    @classmethod
    def parse(cls, metadata: str) -> "SnapshotName":
        """Read commit metadata.

        Raises:
            RecordError: the metadata is not of this program; the group may be used by another one.
        """
        match = _METADATA.match(metadata)
        if match is None:
            raise RecordError(f"commit metadata must name a snapshot ('v1;base=…'), got {metadata[:100]!r}")
        return cls(int(match[1]), int(match[2]), match[3], int(match[4]))
