"""The agent's parts put together: models, pipelines, partitions, checkpoints, output, probes."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from aiokafka.errors import IllegalStateError

from agent.errors import AgentError
from agent.metrics import Metrics
from agent.models.serving import BaselineServing, ModelServing
from agent.models.watcher import ModelWatcher
from agent.runtime.assignment import Partition
from agent.runtime.checkpoint import Checkpointer, every
from agent.runtime.producer import Sink
from agent.runtime.snapshot_store import SnapshotStore
from agent.runtime.transport import Batch, BatchConsumer, Fetched
from agent.settings import AgentSettings
from agent.stages.detect import SystemPipeline
from agent.web.health import Health, HealthServer, Progress
from broker.admin import check_topics
from broker.topic_reader import read_topic
from detector.system import WindowSpec
from schemas.codec import decode
from schemas.errors import RecordError
from schemas.template_record import TemplateRecord

CLOCK_SECONDS = 1.0
RELEASE_SHARE = 0.6  # of the time to stop is for the last checkpoint


class Worker:
    """Everything of an agent but Faust; Faust's transport calls `restore` and `release`, its agent `take`."""

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.port = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="fusionlog-pipeline")
        self._sink = Sink(settings.kafka, self.metrics, self.fail)
        self.systems = {
            system.spec.name: SystemPipeline(
                system.spec,
                BaselineServing(system.spec.name),
                source=f"/fusionlog/{settings.cluster}",
                replay=settings.replay,
                anomalous_only=settings.window_records == "anomalous",
            )
            for system in settings.systems
        }
        by_topic = {topic: self.systems[system.spec.name] for system in settings.systems for topic in system.topics}
        store = SnapshotStore(settings.kafka, settings.topics.state, settings.group, self._sink)
        self.checkpointer = Checkpointer(settings, by_topic, store, self._sink, self.metrics, self.run)
        self.models = ModelWatcher(settings, self._sink, self.metrics, self._swap)
        self._progress = Progress(settings.http.stalled_seconds)
        self._live = Health(ok=True, detail={})
        self._ticked_at: float | None = None
        self._assigned = False
        self._server = HealthServer(settings.http.host, settings.http.port, self.metrics, self._alive, self._ready)
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger(__name__)

    async def run(self, function: Any, *arguments: Any) -> Any:
        """Run a function in the one worker thread, so that the event loop stays free."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    async def start(self) -> None:
        """Check the topics, connect, load templates and models, serve the probes.

        Raises:
            BrokerError: the broker does not answer, or a topic is missing.
            AgentError: the HTTP port is taken.
        """
        settings = self.settings
        await asyncio.to_thread(check_topics, settings.kafka, settings.topics, settings.raw_topics)
        self.port = await self._server.start()
        await self._sink.start()
        await self._load_templates()
        await self.models.start()
        self._ticked_at = time.monotonic()
        for seconds, action in (
            (settings.checkpoint_seconds, self.checkpointer.checkpoint),
            (CLOCK_SECONDS, self._tick),
        ):
            self._tasks.append(asyncio.create_task(self._guard(every(seconds, action))))

    async def stop(self) -> None:
        """Stop what `start` started; partitions have been released before."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.models.stop()
        await self._sink.stop()
        await self._server.stop()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def fail(self, error: BaseException) -> None:
        """End the agent because of an error; nothing more is committed."""
        if self.failure is None:
            self.failure = error
            self.checkpointer.abandon()
            self.failed.set()

    async def restore(self, consumer: BatchConsumer) -> None:
        """Restore the partitions that the group has assigned."""
        generation = consumer.app.consumer_generation_id
        assigned = sorted(tp for tp in consumer.assignment() if tp.topic in self.settings.raw_topics)
        try:
            await self.checkpointer.restore(consumer.thread, assigned)
        except IllegalStateError:
            raise  # Faust waits for the next assignment
        except Exception as error:
            if consumer.app.consumer_generation_id != generation:
                raise IllegalStateError("rebalanced while restoring") from error
            self.fail(error)
            raise
        self._assigned = True
        self.metrics.rebalances.inc()

    async def release(self) -> None:
        """Checkpoint a last time and let the partitions go."""
        self._assigned = False
        await self.checkpointer.release(self.settings.shutdown_seconds * RELEASE_SHARE)

    async def take(self, tp: Any, batch: Batch) -> None:
        """Process a batch; whatever goes wrong ends the agent, since Faust would acknowledge and go on."""
        partition = self.checkpointer.partitions.get(tp)
        if partition is None or self.failure is not None:
            return
        try:
            await partition.take(batch)
            await self._sink.room()
        except asyncio.CancelledError:
            raise
        except AgentError as error:
            self.fail(error)  # its message says it all, and is logged when the agent ends
        except Exception as error:  # noqa: BLE001
            self._log.exception("a batch cannot be processed", partition=str(tp))
            self.fail(error)

    async def _swap(self, system: str, serving: ModelServing) -> None:
        await self.run(self.systems[system].swap, serving)

    async def _load_templates(self) -> None:
        records = await asyncio.to_thread(self._read_templates)
        for name, system in self.systems.items():
            await self.run(system.catalogue.load, [record for record in records if record.system == name])

    def _read_templates(self) -> list[TemplateRecord]:
        newest: dict[bytes, bytes | None] = {}
        for message in read_topic(self.settings.kafka, self.settings.topics.templates):
            newest[message.key() or b""] = message.value()
        records = []
        for value in newest.values():
            try:
                records += [] if value is None else [decode(value, TemplateRecord)]
            except RecordError as error:
                self._log.warning("template record ignored", error=str(error))
        return records

    async def _guard(self, loop: Any) -> None:
        try:
            await loop
        except asyncio.CancelledError:
            raise
        except AgentError as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001
            self._log.exception("a background task has failed")
            self.fail(error)

    async def _tick(self) -> None:
        """Once a second: gauges, liveness, and closing by the clock."""
        fetched = await self.checkpointer.progress()
        lag = 0
        positions: dict[object, int] = {}
        for name, partition in list(self.checkpointer.partitions.items()):
            found = fetched.get(name)
            if found is None:
                continue
            positions[name] = partition.pipeline.position
            behind = _lag(partition, found)
            lag += behind
            self._show(partition, behind)
            if self._idle(partition, found):
                await partition.close_idle()
        self._live = self._progress.observe(positions, lag)
        for name, system in self.systems.items():
            mine = [one.pipeline for one in self.checkpointer.partitions.values() if one.pipeline.system is system]
            self.metrics.open_windows.labels(name).set(sum(pipeline.open_windows for pipeline in mine))
            self.metrics.templates.labels(name, "learned").set(len(system.catalogue))
        self.models.observe()
        self.checkpointer.observe()
        self._ticked_at = time.monotonic()

    def _idle(self, partition: Partition, fetched: Fetched) -> bool:
        seconds = idle_seconds(partition.pipeline.system.spec.window)
        return (
            self.settings.close_idle_by_clock
            and seconds is not None
            and partition.pipeline.open_windows > 0
            and fetched.serial == partition.serial
            and fetched.position is not None
            and fetched.end is not None
            and fetched.position >= fetched.end
            and time.monotonic() - partition.arrived_at >= seconds
        )

    def _show(self, partition: Partition, behind: int) -> None:
        labels = (partition.name.topic, str(partition.name.partition))
        self.metrics.lag_records.labels(*labels).set(behind)
        newest_ms = partition.newest_record_ms
        late = 0.0 if behind == 0 or newest_ms is None else max(0.0, time.time() - newest_ms / 1000)
        self.metrics.lag_seconds.labels(*labels).set(late)
        watermark_ms = partition.pipeline.watermark_ms
        if watermark_ms is not None:
            self.metrics.watermark_delay.labels(*labels).set(time.time() - watermark_ms / 1000)

    def _alive(self) -> Health:
        """What the last tick found, unless it was too long ago: then something that it waits for does not answer."""
        if self._ticked_at is None:
            return self._live
        still = time.monotonic() - self._ticked_at
        if still < CLOCK_SECONDS + self.settings.http.stalled_seconds:
            return self._live
        return Health(ok=False, detail={**self._live.detail, "seconds_without_tick": round(still, 1)})

    def _ready(self) -> Health:
        models = {name: pipeline.serving.reference.version for name, pipeline in self.systems.items()}
        partitions = len(self.checkpointer.partitions)
        return Health(self._assigned, {"assigned": self._assigned, "partitions": partitions, "models": models})


def idle_seconds(window: WindowSpec) -> float | None:
    """Seconds of silence after which the clock may close windows; None where only data may (`count`)."""
    if window.kind == "session":
        return window.idle_seconds
    return window.size_seconds + window.lateness_seconds if window.kind == "tumbling" else None


def _lag(partition: Partition, fetched: Fetched) -> int:
    """Offsets to be processed; none when all that was fetched is processed and the fetch is at the end."""
    if fetched.serial == partition.serial and fetched.position is not None:
        return fetched.lag(fetched.position)
    return fetched.lag(partition.pipeline.position)
