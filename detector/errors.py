"""Errors of the detector.

DetectorError
├── DecodeError         a message holds no readable line (goes to the dead letters)
├── ArtifactError       a model artifact is refused: cut short, altered, of the wrong shape, not finite
│   └── SpecMismatch    the artifact was trained for other windows, masks or layout than the agent runs
├── StoreError          the artifact store does not answer, or lacks what a pointer names
└── SnapshotError       a window snapshot cannot be read
"""


class DetectorError(Exception):
    """Base of everything that the detector raises on purpose."""


class DecodeError(DetectorError):
    """A message holds no readable line.

    Attributes:
        reason: short name for metrics and dead letters: `tombstone`, `empty`, `oversize`, `undecodable`, `bad_json`,
            `too_deep`, `no_message`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ArtifactError(DetectorError):
    """A model artifact is refused; the model that serves stays."""


class SpecMismatch(ArtifactError):
    """The artifact was trained for other windows, masks or layout than the agent is set to."""


class StoreError(DetectorError):
    """The artifact store does not answer, or lacks the content that a pointer names."""


class SnapshotError(DetectorError):
    """A window snapshot is missing, cut short, or of another version."""
