"""One assigned raw partition: its pipeline, run by the worker thread, and what it still owes to the broker."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from agent.errors import BatchLost, PositionLost
from agent.metrics import Metrics
from agent.runtime.producer import Outgoing, Sink, encode_output
from agent.runtime.snapshot_store import Stored
from agent.runtime.transport import Batch, Fetched
from agent.stages.detect import Output, PartitionPipeline
from schemas.topics import Topics

Run = Callable[..., Awaitable[Any]]
"""Runs a function in the one worker thread; calls are made one after the other."""


class Partition:
    """State of a partition between its assignment and its revocation.

    Methods whose names begin with `_work` run in the worker thread, all others on the event loop.

    Args:
        name: (topic, partition).
        pipeline: cuts and scores its lines.
        epoch: of the seek to its position; batches of another are ignored.
        stored: the snapshot that its committed position names; None for a fresh partition.
        run: the worker thread.
        sink, topics: where output goes.
        metrics: of the agent.
    """

    def __init__(
        self,
        name: Any,
        pipeline: PartitionPipeline,
        *,
        epoch: int,
        stored: Stored | None,
        run: Run,
        sink: Sink,
        topics: Topics,
        metrics: Metrics,
    ) -> None:
        self.name = name
        self.pipeline = pipeline
        self.stored = stored
        self.garbage: list[bytes] = []
        self.alive = True
        self.arrived_at = time.monotonic()
        self.newest_record_ms: int | None = None
        self._epoch = epoch
        self._serial = 0
        self._changes = 0
        self._checkpointed: int | None = None if stored is None else 0
        self._run = run
        self._sink = sink
        self._topics = topics
        self._metrics = metrics
        self._ready: deque[list[Outgoing]] = deque()
        self._unacknowledged: set[asyncio.Task[Any]] = set()

    @property
    def dirty(self) -> bool:
        """Whether anything happened since the last checkpoint."""
        return self._changes != self._checkpointed

    @property
    def serial(self) -> int:
        """The last batch that was processed."""
        return self._serial

    async def take(self, batch: Batch) -> None:
        """Process a batch and begin to send what comes of it.

        Raises:
            BatchLost: a batch before it did not arrive.
            PositionLost: it begins before the position, which within an epoch only a log that was replaced can do.
        """
        if not self.alive or batch.epoch != self._epoch:
            return
        self.arrived_at = time.monotonic()
        await self._run(self._work_batch, batch)
        self.send_ready()

    async def close_idle(self) -> None:
        """Close every open window by the clock."""
        await self._run(self._work_close_idle)
        self.send_ready()

    async def capture(self, fetched: Fetched | None) -> tuple[int, bytes, int]:
        """Position, snapshot and number of changes at one moment; `acknowledged` then covers all that came before it.

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
        superseded = [key for key in self.garbage if key not in kept]
        superseded += () if self.stored is None else self.stored.keys
        self.garbage = []
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
        if batch.records[0].offset < self.pipeline.position:
            raise PositionLost(
                f"next record of {self.name.topic}/{self.name.partition} must be at {self.pipeline.position} or later, "
                f"got {batch.records[0].offset}: was the topic recreated? The agent starts again from its checkpoint"
            )
        output = self.pipeline.process(batch.records)
        self._serial = batch.serial
        self._keep(output)
        self._measure(batch, output)

    def _work_close_idle(self) -> None:
        if self.alive:
            self._keep(self.pipeline.close_idle())

    def _work_capture(self, fetched: Fetched | None) -> tuple[int, bytes, int]:
        if fetched is not None and fetched.position is not None and fetched.serial == self._serial:
            self.pipeline.position = max(self.pipeline.position, fetched.position)
        return self.pipeline.position, self.pipeline.snapshot(), self._changes

    def _keep(self, output: Output) -> None:
        records = encode_output(output, self._topics)
        if records:
            self._ready.append(records)
        self._changes += 1
        metrics, system = self._metrics, self.pipeline.system.spec.name
        for rejected in output.rejected:
            reason = rejected.letter.reason
            metrics.records_failed.labels(system, "decode", reason).inc()
            metrics.dlq_records.labels(system, reason).inc()
        metrics.late_lines.labels(system).inc(len(output.late))
        metrics.templates_created.labels(system).inc(len(output.templates))
        for closed_by, count in output.closed_by.items():
            metrics.windows_closed.labels(system, closed_by).inc(count)
        for alert in output.alerts:
            metrics.anomalies.labels(system, alert.data.severity_text, alert.data.reason[0]).inc()

    def _measure(self, batch: Batch, output: Output) -> None:
        metrics, system = self._metrics, self.pipeline.system.spec.name
        metrics.records_consumed.labels(system).inc(output.lines)
        metrics.parse_latency.labels(system).observe(output.parse_seconds)
        if output.score_seconds:
            metrics.score_latency.labels(system).observe(output.score_seconds)
        stamp_ms = self.newest_record_ms = batch.records[-1].timestamp
        if stamp_ms is not None and stamp_ms > 0:
            metrics.end_to_end_latency.labels(system).observe(max(0.0, time.time() - stamp_ms / 1000))
