"""Names of the topics that fusionlog owns: `<prefix>.<dataset>.v1`."""

import re
from dataclasses import dataclass, replace

_PREFIX = re.compile(r"^[A-Za-z0-9._-]{1,100}$")


@dataclass(frozen=True)
class TopicSpec:
    """How a topic has to be created. As an attribute of `Topics` it reads as the full name.

    Attributes:
        name: name of its data set; in `Topics.specs` the full topic name.
        compacted: keeps the newest record per key forever, instead of all records for a time.
        per_raw_partition: has as many partitions as the largest raw topic (snapshots are stored by partition number).
    """

    name: str
    compacted: bool = False
    per_raw_partition: bool = False

    def __get__(self, topics: "Topics", _owner: type) -> str:
        return topics.name(self.name)


@dataclass(frozen=True)
class Topics:
    """The topics of one installation; the prefix separates tenants."""

    prefix: str = "fusionlog"

    alerts = TopicSpec("alerts")  # one record per anomalous window
    windows = TopicSpec("windows")  # one record per closed window, with its score
    late = TopicSpec("late")  # lines that came after their window was emitted
    dlq = TopicSpec("dlq")  # records that cannot be read, raw bytes kept
    state = TopicSpec("state", compacted=True, per_raw_partition=True)  # snapshots of open windows
    models = TopicSpec("models", compacted=True)  # pointers to published models, and aliases; never weights
    model_chunks = TopicSpec("model-chunks", compacted=True)  # content of the `kafka://` artifact store
    models_status = TopicSpec("models-status")  # what each agent did with each published model
    templates = TopicSpec("templates", compacted=True)  # learned by agents since the model was trained

    def __post_init__(self) -> None:
        if not _PREFIX.match(self.prefix):
            raise ValueError(f"topic prefix must be 1 to 100 of letters, digits, '.', '_' and '-', got {self.prefix!r}")

    def name(self, dataset: str) -> str:
        """Full topic name of a data set."""
        return f"{self.prefix}.{dataset}.v1"

    def specs(self) -> tuple[TopicSpec, ...]:
        """Every topic, with how it is to be created."""
        specs = (value for value in vars(Topics).values() if isinstance(value, TopicSpec))
        return tuple(replace(spec, name=self.name(spec.name)) for spec in specs)
