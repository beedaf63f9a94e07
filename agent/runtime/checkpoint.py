"""Position, window state and acknowledged output move together (docs/streaming.md#checkpoints).

A checkpoint of a partition: take position and snapshot at one moment; wait until all output made before it is
acknowledged; write the snapshot to the state topic; commit the position, with metadata that names the snapshot, under
the group generation that the partition was assigned in; tombstone what is superseded. A restart reads the committed
position and its metadata, loads the snapshot it names and seeks.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from agent.errors import AgentError, LostState, SnapshotTooLarge
from agent.metrics import Metrics
from agent.runtime.assignment import Partition, Run
from agent.runtime.producer import Sink
from agent.runtime.snapshot_store import SnapshotStore, Stored
from agent.runtime.transport import BatchThread, Fetched, Place, StaleGeneration
from agent.settings import AgentSettings
from agent.stages.detect import PartitionPipeline, SystemPipeline
from detector.errors import SnapshotError
from schemas.errors import RecordError
from schemas.snapshot import SnapshotName

ACKNOWLEDGE_SECONDS = 30.0
WRITE_SECONDS = 60.0
COMMIT_SECONDS = 30.0
RESTORE_SECONDS = 300.0
PROGRESS_SECONDS = 20.0  # asks the consumer's own loop, no broker
RESTORES_AT_ONCE = 8


@dataclass(frozen=True)
class _Prepared:
    partition: Partition
    position: int
    changes: int
    stored: Stored


class Checkpointer:
    """Holds the assigned partitions, restores them and checkpoints them.

    Args:
        settings: of the agent.
        systems: raw topic → pipeline of its system.
        store: of the snapshots.
        sink: of the output.
        metrics: of the agent.
        run: the worker thread.
    """

    def __init__(
        self,
        settings: AgentSettings,
        systems: Mapping[str, SystemPipeline],
        store: SnapshotStore,
        sink: Sink,
        metrics: Metrics,
        run: Run,
    ) -> None:
        self.partitions: dict[Any, Partition] = {}
        self.saved = True
        """Whether the last release left nothing that has to be read again."""
        self._settings = settings
        self._systems = systems
        self._store = store
        self._sink = sink
        self._metrics = metrics
        self._run = run
        self._thread: BatchThread | None = None
        self._generation = -1
        self._mutex = asyncio.Lock()
        self._running: set[asyncio.Task[bool]] = set()
        self._succeeded_at = time.monotonic()
        self._log = structlog.get_logger(__name__)

    async def restore(self, thread: BatchThread, assigned: list[Any]) -> None:
        """Load the state of newly assigned partitions and seek to their positions.

        Raises:
            LostState: a snapshot is not to be had, and the settings say `stop`.
            AgentError: the broker does not answer in time.
        """
        self._drop()
        self.saved = True
        try:
            async with asyncio.timeout(RESTORE_SECONDS):
                places = await thread.places(assigned)
                gate = asyncio.Semaphore(RESTORES_AT_ONCE)
                restored = await asyncio.gather(*(self._restored(name, places[name], gate) for name in assigned))
                positions = {name: pipeline.position for name, (pipeline, _) in zip(assigned, restored, strict=True)}
                self._generation, epochs = await thread.seek_all(positions)
        except TimeoutError as error:
            raise AgentError(
                f"partitions must be restored in {RESTORE_SECONDS:g} s, got no answer from Kafka"
            ) from error
        self._thread = thread
        for name, (pipeline, stored) in zip(assigned, restored, strict=True):
            self.partitions[name] = Partition(
                name,
                pipeline,
                epoch=epochs[name],
                stored=stored,
                run=self._run,
                sink=self._sink,
                topics=self._settings.topics,
                metrics=self._metrics,
            )
        self._log.info(
            "partitions are restored",
            generation=self._generation,
            positions={f"{name.topic}/{name.partition}": at for name, at in positions.items()},
            open_windows=sum(pipeline.open_windows for pipeline, _ in restored),
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
        """A last checkpoint, bounded in time; then the partitions are no longer ours."""
        if self.partitions:
            done, _ = await asyncio.wait({asyncio.ensure_future(self.checkpoint())}, timeout=timeout_seconds)
            self.saved = any(task.exception() is None and task.result() for task in done)
            if not self.saved:
                self._log.warning("last checkpoint is not made; the lines since the one before are read again")
        # No commit may be under way once another worker can own the partitions.
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._drop()

    def abandon(self) -> None:
        """Drop the partitions without a checkpoint: after an error their state is not to be trusted."""
        self._drop()

    async def progress(self) -> dict[Any, Fetched]:
        """How far the partitions have been fetched.

        Raises:
            TimeoutError: the consumer's loop does not answer.
        """
        if self._thread is None or not self.partitions:
            return {}
        async with asyncio.timeout(PROGRESS_SECONDS):
            return await self._thread.progress(list(self.partitions))

    def observe(self) -> None:
        """Bring `checkpoint_age_seconds` up to date."""
        dirty = any(partition.dirty for partition in self.partitions.values())
        if not dirty:
            self._succeeded_at = time.monotonic()
        self._metrics.checkpoint_age.set(time.monotonic() - self._succeeded_at)

    def _drop(self) -> None:
        for partition in self.partitions.values():
            partition.alive = False
        self.partitions = {}

    async def _checkpoint(self) -> bool:
        async with self._mutex:
            partitions = [partition for partition in self.partitions.values() if partition.dirty]
            if not partitions or self._thread is None:
                return True
            started = time.monotonic()
            try:
                fetched = await self.progress()
            except TimeoutError:
                self._log.error("consumer does not answer, no checkpoint is made", seconds=PROGRESS_SECONDS)
                self._metrics.checkpoints.labels("failed").inc()
                return False
            prepared = await asyncio.gather(*(self._prepare(one, fetched.get(one.name)) for one in partitions))
            ready = [one for one in prepared if one is not None and one.partition.alive]
            committed = not ready or await self._commit(self._thread, ready)
            whole = committed and len(ready) == len(partitions)
            self._metrics.checkpoints.labels("ok" if whole else "failed").inc()
            self._metrics.checkpoint_duration.observe(time.monotonic() - started)
            if whole:
                self._succeeded_at = time.monotonic()
            return whole

    async def _prepare(self, partition: Partition, fetched: Fetched | None) -> _Prepared | None:
        position, body, changes = await partition.capture(fetched)
        if not await partition.acknowledged(ACKNOWLEDGE_SECONDS):
            self._log.warning("checkpoint waits for output that is not acknowledged", partition=str(partition.name))
            return None
        topic, number = partition.name.topic, partition.name.partition
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                stored = await self._store.write(topic, number, body, self._generation, partition.garbage)
        except TimeoutError:
            self._log.warning("snapshot is not acknowledged", partition=str(partition.name))
            return None
        except SnapshotTooLarge as error:
            # The agent goes on: the windows may close, and ending it now would only read the same lines again.
            self._log.error("no checkpoint is made", partition=str(partition.name), error=str(error))
            return None
        return _Prepared(partition, position, changes, stored)

    async def _commit(self, thread: BatchThread, ready: list[_Prepared]) -> bool:
        commits = {one.partition.name: (one.position, one.stored.name.metadata()) for one in ready}
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await thread.commit_named(commits, self._generation)
        except (KafkaError, OSError, TimeoutError, StaleGeneration) as error:
            self._log.warning("positions are not committed, trying again", error=str(error) or type(error).__name__)
            return False
        for one in ready:
            superseded = one.partition.checkpointed(one.stored, one.changes)
            self._store.forget(one.partition.name.partition, superseded)
        return True

    async def _restored(
        self, name: Any, place: Place, gate: asyncio.Semaphore
    ) -> tuple[PartitionPipeline, Stored | None]:
        system = self._systems[name.topic]
        if place.committed is None:
            position = place.beginning if self._settings.start == "earliest" else place.end
            return system.partition(name.topic, name.partition, position), None
        stored = None
        try:
            async with gate:
                stored, body = await self._named(name, place)
            pipeline = await self._run(system.restore, name.topic, name.partition, place.committed, body)
        except (LostState, SnapshotError, RecordError) as error:
            pipeline = self._without_state(name, place, error)
        if pipeline.position < place.beginning:
            self._skip_deleted(name, pipeline, place)
        return pipeline, stored

    async def _named(self, name: Any, place: Place) -> tuple[Stored, bytes]:
        assert place.committed is not None
        if place.committed > place.end:
            raise LostState(
                f"position {place.committed} must be in the log, got its end at {place.end}: was the topic recreated?"
            )
        return await self._store.read(name.topic, name.partition, SnapshotName.parse(place.metadata))

    def _without_state(self, name: Any, place: Place, error: Exception) -> PartitionPipeline:
        assert place.committed is not None
        system = self._systems[name.topic]
        where = f"{name.topic}/{name.partition} of group {self._settings.group!r} at {place.committed}"
        if self._settings.on_lost_state == "stop":
            raise LostState(
                f"state of {where} must be restored, got: {error}. To go on without its open windows, start once with "
                "on_lost_state: restart_windows"
            ) from error
        self._metrics.state_lost.labels(system.spec.name).inc()
        self._log.error("state is lost, its open windows start again as told", partition=where, error=str(error))
        position = place.committed if place.committed <= place.end else place.beginning
        return system.partition(name.topic, name.partition, position)

    def _skip_deleted(self, name: Any, pipeline: PartitionPipeline, place: Place) -> None:
        lost = place.beginning - pipeline.position
        self._metrics.offsets_lost.labels(pipeline.system.spec.name).inc(lost)
        self._log.error(
            "the broker deleted lines before they were read: the topic's retention is shorter than the outage",
            partition=f"{name.topic}/{name.partition}",
            offsets=lost,
        )
        pipeline.position = place.beginning


async def every(seconds: float, action: Any) -> None:
    """Call an async action for ever, `seconds` apart."""
    while True:
        await asyncio.sleep(seconds)
        with contextlib.suppress(asyncio.TimeoutError):
            await action()
