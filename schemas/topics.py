"""Names of the topics that fusionlog owns: `<prefix>.<dataset>.v1`."""

import re
from dataclasses import dataclass

_PREFIX = re.compile(r"^[A-Za-z0-9._-]{1,100}$")


@dataclass(frozen=True)
class TopicSpec:
    """How a topic has to be created.

    Attributes:
        name: full topic name.
        compacted: keeps the newest record per key forever, instead of all records for a time.
        per_raw_partition: has as many partitions as the largest raw topic (snapshots are stored by partition number).
    """

    name: str
    compacted: bool
    per_raw_partition: bool = False


@dataclass(frozen=True)
class Topics:
    """The topics of one installation; the prefix separates tenants."""

    prefix: str = "fusionlog"

    def __post_init__(self) -> None:
        if not _PREFIX.match(self.prefix):
            raise ValueError(f"topic prefix must be 1 to 100 of letters, digits, '.', '_' and '-', got {self.prefix!r}")

    def name(self, dataset: str) -> str:
        """Full topic name of a data set."""
        return f"{self.prefix}.{dataset}.v1"

    @property
    def alerts(self) -> str:
        """One record per anomalous window."""
        return self.name("alerts")

    @property
    def windows(self) -> str:
        """One record per closed window, with its score."""
        return self.name("windows")

    @property
    def late(self) -> str:
        """Lines that came after their window was emitted."""
        return self.name("late")

    @property
    def dlq(self) -> str:
        """Records that cannot be read, raw bytes kept."""
        return self.name("dlq")

    @property
    def state(self) -> str:
        """Snapshots of open windows, by raw partition number."""
        return self.name("state")

    @property
    def models(self) -> str:
        """Pointers to published models, and aliases; never weights."""
        return self.name("models")

    @property
    def model_chunks(self) -> str:
        """Content of the `kafka://` artifact store."""
        return self.name("model-chunks")

    @property
    def models_status(self) -> str:
        """What each agent did with each published model."""
        return self.name("models-status")

    @property
    def templates(self) -> str:
        """Templates that agents have learned since the model was trained."""
        return self.name("templates")

    def specs(self) -> tuple[TopicSpec, ...]:
        """Every topic, with how it is to be created."""
        return (
            TopicSpec(self.alerts, compacted=False),
            TopicSpec(self.windows, compacted=False),
            TopicSpec(self.late, compacted=False),
            TopicSpec(self.dlq, compacted=False),
            TopicSpec(self.state, compacted=True, per_raw_partition=True),
            TopicSpec(self.models, compacted=True),
            TopicSpec(self.model_chunks, compacted=True),
            TopicSpec(self.models_status, compacted=False),
            TopicSpec(self.templates, compacted=True),
        )
