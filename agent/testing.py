"""Fakes for tests of stages and checkpoints: a source, a sink, a snapshot store and a clock, all in memory.

`Bed` runs a stage of any kind under the real `Checkpointer` on these fakes, and can kill it at any step.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agent.errors import LostState, StaleGeneration
from agent.metrics import Metrics
from agent.runtime.assignment import AssignedPartition
from agent.runtime.batch import Batch, CommittedPosition, FetchProgress
from agent.runtime.checkpoint import Checkpointer
from agent.runtime.outgoing import Outgoing
from agent.runtime.snapshot_store import Stored
from agent.settings import AgentSettings
from agent.stages.stage import Output, PlainRecord, StageFactory, TopicRole
from agent.timeouts import DEFAULT_TIMEOUTS, Clock, Timeouts
from detector.testing import SYSTEM
from schemas.codec import encode
from schemas.model_record import ModelAlias, ModelPointer
from schemas.snapshot import SnapshotName


class Partition(NamedTuple):
    """Name of a partition, as Faust's `TP`."""

    topic: str
    partition: int


RAW = Partition("raw", 0)
"""The one partition of a `Bed`."""


class Killed(Exception):
    """The process was killed here."""


class FakeClock:
    """A clock that stands still until `advance`."""

    def __init__(self, wall_ms: int = 1_700_000_000_000) -> None:
        self.seconds = 0.0
        self._start_ms = wall_ms

    @property
    def clock(self) -> Clock:
        """The clock to inject."""
        return Clock(lambda: self.seconds, lambda: self._start_ms + round(self.seconds * 1000))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class MemorySource:
    """A raw partition and the group's committed position; both outlive the agent.

    Attributes:
        records: the log; each record has its own offset.
        found: what is committed, and the ends of the log.
        commits: every commit, in order.
        refuse: raised by the next commits.
        fetched: what `progress` answers, while `answers` is set.
        sought: the last position that was sought.
    """

    def __init__(self, records: Sequence[PlainRecord] = ()) -> None:
        self.records = list(records)
        self.found = CommittedPosition(None, "", 0, records[-1].offset + 1 if records else 100)
        self.commits: list[tuple[int, str]] = []
        self.refuse: Exception | None = None
        self.fetched = FetchProgress(0, self.found.end, 0)
        self.answers = asyncio.Event()
        self.answers.set()
        self.sought = -1
        self.epoch = 0
        self.generation = 7

    def fetch(self, count: int) -> Batch:
        """The next records of the log, as one batch."""
        position = self.fetched.position or 0
        records = [record for record in self.records if record.offset >= position][:count]
        return self.batch(records)

    def batch(self, records: Sequence[PlainRecord]) -> Batch:
        """Records as the next fetched batch."""
        serial = self.fetched.serial + 1
        self.fetched = FetchProgress(records[-1].offset + 1, self.found.end, serial)
        return Batch(self.epoch, serial, records)

    async def positions(self, partitions: Sequence[Any]) -> dict[Any, CommittedPosition]:
        """What is committed."""
        return dict.fromkeys(partitions, self.found)

    async def seek_all(self, positions: Mapping[Any, int]) -> tuple[int, dict[Any, int]]:
        """Seek."""
        self.epoch += 1
        (self.sought,) = positions.values()
        self.fetched = FetchProgress(self.sought, self.found.end, 0)
        return self.generation, dict.fromkeys(positions, self.epoch)

    async def commit_named(self, commits: Mapping[Any, tuple[int, str]], generation: int) -> None:
        """Commit a position with its metadata."""
        if generation != self.generation:
            raise StaleGeneration(f"generation must be {self.generation}, got {generation}")
        if self.refuse is not None:
            raise self.refuse
        (commit,) = commits.values()
        self.commits.append(commit)
        self.found = CommittedPosition(*commit, self.found.beginning, self.found.end)

    async def progress(self, partitions: Sequence[Any]) -> dict[Any, FetchProgress]:
        """How far the partition has been fetched."""
        await self.answers.wait()
        return dict.fromkeys(partitions, self.fetched)


class MemorySnapshots:
    """A snapshot store; `refuse_write` and `refuse_forget` are raised by the next calls."""

    def __init__(self) -> None:
        self.bodies: dict[int, bytes] = {}
        self.forgotten: list[bytes] = []
        self.refuse_write: Exception | None = None
        self.refuse_forget: Exception | None = None

    async def write(self, topic: str, partition: int, body: bytes, generation: int, keys: list[bytes]) -> Stored:
        """Keep a snapshot."""
        del topic, partition
        if self.refuse_write is not None:
            raise self.refuse_write
        offset = len(self.bodies)
        keys.append(b"%d" % offset)
        self.bodies[offset] = body
        return Stored(SnapshotName(offset, offset, "0" * 64, generation), (b"%d" % offset,))

    async def read(self, topic: str, partition: int, name: SnapshotName) -> tuple[Stored, bytes]:
        """A kept snapshot.

        Raises:
            LostState: it is absent.
        """
        del topic, partition
        if name.base not in self.bodies:
            raise LostState(f"snapshot {name.base} must be there")
        return Stored(name, (b"%d" % name.base,)), self.bodies[name.base]

    def forget(self, partition: int, keys: Sequence[bytes]) -> None:
        """Note tombstones."""
        del partition
        if self.refuse_forget is not None:
            raise self.refuse_forget
        self.forgotten += keys


class MemorySink:
    """Output topics. A record is written once it is acknowledged, which happens while `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.written: list[Outgoing] = []
        self.pending: set[asyncio.Task[list[Any]]] = set()

    def send(self, records: Sequence[Outgoing]) -> asyncio.Task[list[Any]]:
        """Start to write records."""
        task = asyncio.create_task(self._deliver(records))
        self.pending.add(task)
        task.add_done_callback(self.pending.discard)
        return task

    def lose_pending(self) -> None:
        """Drop what is not acknowledged, as a kill does."""
        for task in self.pending:
            task.cancel()

    async def _deliver(self, records: Sequence[Outgoing]) -> list[Any]:
        await self.open.wait()
        self.written += records
        return [None] * len(records)


class Bed:
    """The real `Checkpointer` over one partition, with a stage of any kind, on fakes.

    Args:
        stage: makes the stage.
        records: of the partition.
        timeouts, clock: of the agent.
        changes: of the agent's settings.
    """

    def __init__(
        self,
        stage: StageFactory,
        records: Sequence[PlainRecord] = (),
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        clock: FakeClock | None = None,
        **changes: Any,
    ) -> None:
        self.source, self.store, self.sink = MemorySource(records), MemorySnapshots(), MemorySink()
        self.metrics = Metrics()
        self.clock = clock or FakeClock()
        self._stage = stage
        self._timeouts = timeouts
        self._settings = AgentSettings.model_validate(
            {"systems": [{"topics": [RAW.topic], "spec": SYSTEM.model_dump()}], **changes}
        )
        self.checkpointer = self._fresh()

    @property
    def partition(self) -> AssignedPartition:
        """The assigned partition."""
        return self.checkpointer.partitions[RAW]

    async def restore(self) -> None:
        """Have the partition assigned, and its state restored."""
        await self.checkpointer.restore(self.source, [RAW])

    async def take(self, records: Sequence[PlainRecord]) -> None:
        """Process records as the next fetched batch."""
        await self.partition.take(self.source.batch(records))

    async def kill(self) -> None:
        """End the agent at once: its memory and its output that is not acknowledged are lost."""
        self.sink.lose_pending()
        await asyncio.sleep(0)
        self.sink.open.set()
        self.checkpointer.abandon()
        self.source.refuse = self.store.refuse_write = self.store.refuse_forget = None
        self.checkpointer = self._fresh()

    def _fresh(self) -> Checkpointer:
        return Checkpointer(
            self._settings,
            {RAW.topic: self._stage},
            self.store,
            self.sink,
            self.metrics,
            run_directly,
            timeouts=self._timeouts,
            clock=self.clock.clock,
        )


def model_messages(sha256: str, *, alias_epoch: int = 2, store: str = "memory://") -> list[Any]:
    """Messages of the models topic: version 1 of `detector.testing.SYSTEM`, and the alias champion on it."""
    system = SYSTEM.name
    records = (
        ModelPointer(
            system=system,
            version=1,
            sha256=sha256,
            epoch=1,
            store=store,
            created_ms=1,
            labeller="heuristic",
            size_bytes=1,
        ),
        ModelAlias(system=system, version=1, sha256=sha256, alias="champion", epoch=alias_epoch, moved_ms=1),
    )
    return [_Message(record.key.encode(), encode(record)) for record in records]


class _Message:
    """A message as confluent-kafka gives it."""

    def __init__(self, key: bytes, value: bytes) -> None:
        self._key, self._value = key, value

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value

    def offset(self) -> int:
        return 0


async def run_directly(function: Any, *arguments: Any) -> Any:
    """Call a function at once, in place of the worker thread."""
    return function(*arguments)


def records_of(outputs: Output | Sequence[Output], role: TopicRole) -> list[Any]:
    """The records that outputs hold for a topic, in order."""
    found = [outputs] if isinstance(outputs, Output) else outputs
    return [record.record for output in found for record in output.records if record.role is role]
