"""Position, state and acknowledged output of the assigned partitions move together.

A checkpoint of a partition, step by step:

1. Take the stage's position and snapshot at one moment.
2. Wait until all output made before that moment is acknowledged.
3. Write the snapshot to the state topic, and wait until it is acknowledged.
4. Commit the position, with metadata that names the snapshot, under the group's generation at the assignment.
5. Tombstone the snapshots that this one supersedes.

Whatever fails leaves the committed position, and the snapshot that it names, as they were. A restart reads the
committed position with its metadata, loads the snapshot that it names, and seeks.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from agent.errors import AgentError, LostState, SnapshotTooLarge, StaleGeneration
from agent.metrics import Metrics
from agent.runtime.assignment import AssignedPartition, Run, Sender
from agent.runtime.batch import CommittedPosition, FetchProgress, GroupConsumer
from agent.runtime.snapshot_store import Snapshots, Stored
from agent.settings import AgentSettings
from agent.stages.stage import Stage, StageFactory, restore_snapshot
from agent.timeouts import DEFAULT_TIMEOUTS, SYSTEM_CLOCK, Clock, Timeouts
from detector.errors import SnapshotError
from schemas.errors import RecordError
from schemas.snapshot import SnapshotName

RESTORES_AT_ONCE = 8


@dataclass(frozen=True)
class _Prepared:
    partition: AssignedPartition
    position: int
    changes: int
    stored: Stored


class Checkpointer:
    """Holds the assigned partitions, restores them and checkpoints them; `stages` is keyed by raw topic."""

    def __init__(
        self,
        settings: AgentSettings,
        stages: Mapping[str, StageFactory],
        store: Snapshots,
        sink: Sender,
        metrics: Metrics,
        run: Run,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.partitions: dict[Any, AssignedPartition] = {}
        self.saved = True
        """Whether the last release left no line that has to be read again."""
        self._settings = settings
        self._stages = stages
        self._store = store
        self._sink = sink
        self._metrics = metrics
        self._run = run
        self._timeouts = timeouts
        self._clock = clock
        self._consumer: GroupConsumer | None = None
        self._generation = -1
        self._mutex = asyncio.Lock()
        self._running: set[asyncio.Task[bool]] = set()
        self._succeeded_at = clock.monotonic()
        self._log = structlog.get_logger(__name__)

    async def restore(self, consumer: GroupConsumer, assigned: list[Any]) -> None:
        """Load the state of newly assigned partitions and seek to their positions.

        Raises:
            LostState: a snapshot is missing or corrupt, and the settings say `stop`.
            AgentError: the broker does not answer in time.
        """
        self.abandon()
        self.saved = True
        try:
            async with asyncio.timeout(self._timeouts.restore_seconds):
                committed = await consumer.positions(assigned)
                gate = asyncio.Semaphore(RESTORES_AT_ONCE)
                restored = await asyncio.gather(*(self._restored(name, committed[name], gate) for name in assigned))
                positions = {name: stage.position for name, (stage, _) in zip(assigned, restored, strict=True)}
                self._generation, epochs = await consumer.seek_all(positions)
        except TimeoutError as error:
            raise AgentError(
                f"partitions must be restored in {self._timeouts.restore_seconds:g} s, got no answer from Kafka"
            ) from error
        self._consumer = consumer
        for name, (stage, stored) in zip(assigned, restored, strict=True):
            self.partitions[name] = AssignedPartition(
                name,
                stage,
                epoch=epochs[name],
                stored=stored,
                run=self._run,
                sink=self._sink,
                topics=self._settings.topics,
                metrics=self._metrics,
                clock=self._clock,
            )
        self._log.info(
            "partitions are restored",
            generation=self._generation,
            positions={f"{name.topic}/{name.partition}": at for name, at in positions.items()},
            open_windows=sum(stage.open_windows for stage, _ in restored),
        )

    async def checkpoint(self) -> bool:
        """Checkpoint every partition that changed; False when one could not be, which is tried again next time."""
        task = asyncio.create_task(self._checkpoint())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # Not awaited itself: `release` may cancel it, which must not end the caller's loop.
        await asyncio.wait({task})
        return not task.cancelled() and task.result()

    async def release(self, timeout_seconds: float) -> None:
        """Make a last checkpoint, bounded in time, and give the partitions up."""
        if self.partitions:
            done, _ = await asyncio.wait({asyncio.ensure_future(self.checkpoint())}, timeout=timeout_seconds)
            self.saved = any(task.exception() is None and task.result() for task in done)
            if not self.saved:
                self._log.warning("last checkpoint is not made; the lines since the one before are read again")
        # No commit may be in progress once another worker can own the partitions.
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self.abandon()

    def abandon(self) -> None:
        """Drop the partitions without a checkpoint: after an error their state may be wrong."""
        for partition in self.partitions.values():
            partition.alive = False
        self.partitions = {}

    async def progress(self) -> dict[Any, FetchProgress]:
        """How far the partitions have been fetched.

        Raises:
            TimeoutError: the consumer's loop does not answer.
        """
        if self._consumer is None or not self.partitions:
            return {}
        async with asyncio.timeout(self._timeouts.progress_seconds):
            return await self._consumer.progress(list(self.partitions))

    def observe(self) -> None:
        """Bring `checkpoint_age_seconds` up to date."""
        dirty = any(partition.dirty for partition in self.partitions.values())
        if not dirty:
            self._succeeded_at = self._clock.monotonic()
        self._metrics.checkpoint_age.set(self._clock.monotonic() - self._succeeded_at)

    async def _checkpoint(self) -> bool:
        async with self._mutex:
            partitions = [partition for partition in self.partitions.values() if partition.dirty]
            if not partitions or self._consumer is None:
                return True
            started = self._clock.monotonic()
            try:
                fetched = await self.progress()
            except TimeoutError:
                self._log.error(
                    "consumer does not answer, no checkpoint is made", seconds=self._timeouts.progress_seconds
                )
                self._metrics.checkpoints.labels("failed").inc()
                return False
            prepared = await asyncio.gather(*(self._prepare(one, fetched.get(one.name)) for one in partitions))
            ready = [one for one in prepared if one is not None and one.partition.alive]
            committed = not ready or await self._commit(self._consumer, ready)
            whole = committed and len(ready) == len(partitions)
            self._metrics.checkpoints.labels("ok" if whole else "failed").inc()
            self._metrics.checkpoint_duration.observe(self._clock.monotonic() - started)
            if whole:
                self._succeeded_at = self._clock.monotonic()
            return whole

    async def _prepare(self, partition: AssignedPartition, fetched: FetchProgress | None) -> _Prepared | None:
        """Steps 1 to 3; None when one of them failed."""
        # 1. Take position and snapshot.
        position, body, changes = await partition.capture(fetched)
        # 2. Wait for the output made before.
        if not await partition.acknowledged(self._timeouts.acknowledge_seconds):
            self._log.warning("checkpoint waits for output that is not acknowledged", partition=str(partition.name))
            return None
        # 3. Write the snapshot.
        topic, number = partition.name.topic, partition.name.partition
        try:
            async with asyncio.timeout(self._timeouts.write_seconds):
                stored = await self._store.write(topic, number, body, self._generation, partition.unnamed_keys)
        except TimeoutError:
            self._log.warning("snapshot is not acknowledged", partition=str(partition.name))
            return None
        except SnapshotTooLarge as error:
            # The agent goes on: the windows may close, and ending it now would only read the same lines again.
            self._log.error("no checkpoint is made", partition=str(partition.name), error=str(error))
            return None
        return _Prepared(partition, position, changes, stored)

    async def _commit(self, consumer: GroupConsumer, ready: list[_Prepared]) -> bool:
        """Steps 4 and 5; False when the commit failed."""
        # 4. Commit the positions, each with the name of its snapshot.
        commits = {one.partition.name: (one.position, one.stored.name.metadata()) for one in ready}
        try:
            async with asyncio.timeout(self._timeouts.commit_seconds):
                await consumer.commit_named(commits, self._generation)
        except (KafkaError, OSError, TimeoutError, StaleGeneration) as error:
            self._log.warning("positions are not committed, trying again", error=str(error) or type(error).__name__)
            return False
        # 5. Tombstone what is superseded.
        for one in ready:
            superseded = one.partition.checkpointed(one.stored, one.changes)
            self._store.forget(one.partition.name.partition, superseded)
        return True

    async def _restored(
        self, name: Any, found: CommittedPosition, gate: asyncio.Semaphore
    ) -> tuple[Stage, Stored | None]:
        build = self._stages[name.topic]
        if found.committed is None:
            position = found.beginning if self._settings.start == "earliest" else found.end
            return build(name.topic, name.partition, position), None
        stored = None
        stage = build(name.topic, name.partition, found.committed)
        try:
            async with gate:
                stored, body = await self._named(name, found.committed, found)
            await self._run(restore_snapshot, stage, body)
        except (LostState, SnapshotError, RecordError) as error:
            position = found.committed if found.committed <= found.end else found.beginning
            stage = build(name.topic, name.partition, position)
            self._without_state(name, stage.system, found.committed, error)
        if stage.position < found.beginning:
            self._skip_deleted(name, stage, found.beginning)
        return stage, stored

    async def _named(self, name: Any, committed: int, found: CommittedPosition) -> tuple[Stored, bytes]:
        if committed > found.end:
            raise LostState(
                f"position {committed} must be in the log, got its end at {found.end}: was the topic recreated?"
            )
        return await self._store.read(name.topic, name.partition, SnapshotName.parse(found.metadata))

    def _without_state(self, name: Any, system: str, committed: int, error: Exception) -> None:
        where = f"{name.topic}/{name.partition} of group {self._settings.group!r} at {committed}"
        if self._settings.on_lost_state == "stop":
            raise LostState(
                f"state of {where} must be restored, got: {error}. To go on without its open windows, start once with "
                "on_lost_state: restart_windows"
            ) from error
        self._metrics.state_lost.labels(system).inc()
        self._log.error(
            "state is lost, its open windows start again (on_lost_state)", partition=where, error=str(error)
        )

    def _skip_deleted(self, name: Any, stage: Stage, beginning: int) -> None:
        lost = beginning - stage.position
        self._metrics.offsets_lost.labels(stage.system).inc(lost)
        self._log.error(
            "the broker deleted lines before they were read: the topic's retention is shorter than the outage",
            partition=f"{name.topic}/{name.partition}",
            offsets=lost,
        )
        stage.position = beginning
