"""A stage turns the records of one partition into output; it holds the partition's position and state.

The checkpoint drives stages without knowing what they do: it takes position and snapshot at one moment, and commits
the position once all output made before that moment is acknowledged.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec

from detector.errors import SnapshotError
from detector.partition_reader import RawRecord
from schemas.codec import Record


class KafkaRecord(RawRecord, Protocol):
    """A record of a raw topic, as aiokafka gives it."""

    @property
    def key(self) -> bytes | None:
        """Key of the record."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Headers of the record."""


@dataclass(frozen=True, slots=True)
class PlainRecord:
    """A record from another source than aiokafka."""

    offset: int
    value: bytes | None
    timestamp: int | None = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class TopicRole(StrEnum):
    """Which of our topics a record goes to; each value is a data set of `schemas.topics.Topics`."""

    ALERTS = "alerts"
    WINDOWS = "windows"
    LATE = "late"
    DLQ = "dlq"
    TEMPLATES = "templates"


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """One record to be written.

    Attributes:
        record: a record of `schemas`, or the raw bytes of a dead letter (None: it had no value).
        foreign_headers: how many of the headers, from the first, came with the raw record.
    """

    role: TopicRole
    key: bytes | None
    record: Record | bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    foreign_headers: int = 0


@dataclass
class Output:
    """What a stage made of some records.

    Attributes:
        records: in the order in which they are to be written.
        counts: by (counter of `agent.metrics.Metrics`, labels after `system`).
        seconds: time spent, by histogram of `agent.metrics.Metrics`.
    """

    records: list[OutputRecord] = field(default_factory=list)
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)


class Stage(Protocol):
    """One partition's work; used by one thread at a time.

    Attributes:
        name, version: of the snapshots that it writes.
        system: the system whose lines it reads.
        position: the next offset to process; the checkpoint moves it past offsets that hold no record.
    """

    name: str
    version: int
    system: str
    position: int

    @property
    def open_windows(self) -> int:
        """How many windows are open."""

    @property
    def watermark_ms(self) -> int | None:
        """The partition's watermark; None before the first line."""

    @property
    def idle_seconds(self) -> float | None:
        """Silence after which `close_idle` may be called; None where only data may close windows."""

    def process(self, records: Sequence[KafkaRecord]) -> Output:
        """Take the next records, in the order of the partition; those below the position are repeats and skipped."""

    def close_idle(self) -> Output:
        """Close every open window by the clock."""

    def snapshot(self) -> bytes:
        """State to `restore` from at the present position."""

    def restore(self, body: bytes, version: int) -> None:
        """Take on the state that `snapshot` gave at this position; version 0: the snapshot had no envelope.

        Raises:
            SnapshotError: the snapshot cannot be read, or is of other settings.
        """


StageFactory = Callable[[str, int, int], Stage]
"""A stage without state, of (raw topic, partition, position)."""


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    stage: str
    version: int
    position: int
    body: bytes


def write_snapshot(stage: Stage) -> bytes:
    """Snapshot of a stage in its envelope: name, version, position and body."""
    return msgspec.msgpack.encode(_Envelope(stage.name, stage.version, stage.position, stage.snapshot()))


def restore_snapshot(stage: Stage, snapshot: bytes) -> None:
    """Give a fresh stage the state that `write_snapshot` saved; older snapshots, without an envelope, pass unchanged.

    Raises:
        SnapshotError: the snapshot is of another stage or position, or the stage refuses it.
    """
    try:
        envelope = msgspec.msgpack.decode(snapshot, type=_Envelope)
    except (msgspec.DecodeError, ValueError):
        stage.restore(snapshot, 0)
        return
    if (envelope.stage, envelope.position) != (stage.name, stage.position):
        raise SnapshotError(
            f"snapshot must be of stage {stage.name!r} at position {stage.position}, got {envelope.stage!r} at "
            f"{envelope.position}"
        )
    stage.restore(envelope.body, envelope.version)
