"""One assigned raw partition: its stage, run by the worker thread, and its output that is not yet acknowledged."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from agent.errors import BatchLost, PositionLost
from agent.metrics import Metrics
from agent.runtime.batch import Batch, FetchProgress
from agent.runtime.outgoing import Outgoing, encode_output
from agent.runtime.snapshot_store import Stored
from agent.stages.stage import Output, Stage, write_snapshot
from agent.timeouts import Clock
from schemas.topics import Topics

Run = Callable[..., Awaitable[Any]]
"""Runs a function in the one worker thread; calls are made one after the other."""


class Sender(Protocol):
    """Writes records."""

    def send(self, records: Sequence[Outgoing]) -> asyncio.Task[list[Any]]:
        """Start to write; the task ends with the records' metadata once all are acknowledged."""


class AssignedPartition:
    """State of a partition between its assignment and its revocation.

    Methods whose names begin with `_work` run in the worker thread, all others on the event loop.

    Args:
        name: (topic, partition).
        epoch: of the seek to its position; batches of another are ignored.
        stored: the snapshot that its committed position names; None for a fresh partition.
        run: the worker thread.
    """

    def __init__(
        self,
        name: Any,
        stage: Stage,
        *,
        epoch: int,
        stored: Stored | None,
        run: Run,
        sink: Sender,
        topics: Topics,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.name = name
        self.stage = stage
        self.stored = stored
        self.unnamed_keys: list[bytes] = []
        """Keys of snapshots that were written and are not named by a commit."""
        self.alive = True
        self.arrived_at = clock.monotonic()
        self.newest_record_ms: int | None = None
        self._epoch = epoch
        self._serial = 0
        self._changes = 0
        self._checkpointed: int | None = None if stored is None else 0
        self._run = run
        self._sink = sink
        self._topics = topics
        self._metrics = metrics
        self._clock = clock
        self._ready: deque[list[Outgoing]] = deque()
        self._unacknowledged: set[asyncio.Task[Any]] = set()

    @property
    def dirty(self) -> bool:
        """Whether anything happened since the last checkpoint."""
        return self._changes != self._checkpointed

    def lag(self, fetched: FetchProgress) -> int:
        """Offsets to be processed; 0 when all that was fetched is processed and the fetch is at the end."""
        if fetched.serial == self._serial and fetched.position is not None:
            return fetched.lag(fetched.position)
        return fetched.lag(self.stage.position)

    def silent(self, fetched: FetchProgress) -> bool:
        """Whether windows may be closed by the clock: all is read and processed, and nothing came for long enough."""
        seconds = self.stage.idle_seconds
        return (
            seconds is not None
            and self.stage.open_windows > 0
            and fetched.serial == self._serial
            and fetched.position is not None
            and fetched.end is not None
            and fetched.position >= fetched.end
            and self._clock.monotonic() - self.arrived_at >= seconds
        )

    async def take(self, batch: Batch) -> None:
        """Process a batch and begin to send its output.

        Raises:
            BatchLost: a batch before it did not arrive.
            PositionLost: it begins before the position, which within an epoch happens only when a log was replaced.
        """
        if not self.alive or batch.epoch != self._epoch:
            return
        self.arrived_at = self._clock.monotonic()
        await self._run(self._work_batch, batch)
        self.send_ready()

    async def close_idle(self) -> None:
        """Close every open window by the clock."""
        await self._run(self._work_close_idle)
        self.send_ready()

    async def capture(self, fetched: FetchProgress | None) -> tuple[int, bytes, int]:
        """Position, snapshot and number of changes at one moment; `acknowledged` then covers all output before it.

        Args:
            fetched: how far the partition was fetched; where all of it is processed, the position follows, so that
                transaction markers at the end of the log do not hold it back.
        """
        captured: tuple[int, bytes, int] = await self._run(self._work_capture, fetched)
        self.send_ready()
        return captured

    async def acknowledged(self, timeout_seconds: float) -> bool:
        """Wait until the broker has acknowledged everything sent so far; False when it has not in time."""
        waiting = list(self._unacknowledged)
        if waiting:
            await asyncio.wait(waiting, timeout=timeout_seconds)
        return all(task.done() and not task.cancelled() and task.exception() is None for task in waiting)

    def checkpointed(self, stored: Stored, changes: int) -> list[bytes]:
        """Note a checkpoint; the keys of the snapshots that it superseded."""
        kept = set(stored.keys)
        superseded = [key for key in self.unnamed_keys if key not in kept]
        superseded += () if self.stored is None else self.stored.keys
        self.unnamed_keys = []
        self.stored = stored
        self._checkpointed = changes
        return superseded

    def send_ready(self) -> None:
        """Begin to send what the worker thread has made."""
        while self._ready:
            task = self._sink.send(self._ready.popleft())
            self._unacknowledged.add(task)
            task.add_done_callback(self._settle)

    def _settle(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._unacknowledged.discard(task)

    def _work_batch(self, batch: Batch) -> None:
        if not self.alive:
            return
        if batch.serial != self._serial + 1:
            raise BatchLost(
                f"batch {self._serial + 1} of {self.name} must come next, got {batch.serial}: "
                "the agent starts again from its checkpoint"
            )
        if batch.records[0].offset < self.stage.position:
            raise PositionLost(
                f"next record of {self.name.topic}/{self.name.partition} must be at {self.stage.position} or later, "
                f"got {batch.records[0].offset}: was the topic recreated? The agent starts again from its checkpoint"
            )
        output = self.stage.process(batch.records)
        self._serial = batch.serial
        self._keep(output)
        stamp_ms = self.newest_record_ms = batch.records[-1].timestamp
        if stamp_ms is not None and stamp_ms > 0:
            age = max(0.0, (self._clock.wall_ms() - stamp_ms) / 1000)
            self._metrics.end_to_end_latency.labels(self.stage.system).observe(age)

    def _work_close_idle(self) -> None:
        if self.alive:
            self._keep(self.stage.close_idle())

    def _work_capture(self, fetched: FetchProgress | None) -> tuple[int, bytes, int]:
        if fetched is not None and fetched.position is not None and fetched.serial == self._serial:
            self.stage.position = max(self.stage.position, fetched.position)
        return self.stage.position, write_snapshot(self.stage), self._changes

    def _keep(self, output: Output) -> None:
        records = encode_output(output, self._topics)
        if records:
            self._ready.append(records)
        self._changes += 1
        self._metrics.add(self.stage.system, output.counts, output.seconds)
