"""The agent's parts put together: models, stages, partitions, checkpoints, output, probes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from aiokafka.errors import IllegalStateError

from agent.errors import AgentError, redacted_traceback
from agent.metrics import Metrics
from agent.models.serving import ModelServing
from agent.models.watcher import ModelWatcher
from agent.runtime.assignment import AssignedPartition
from agent.runtime.batch import Batch
from agent.runtime.checkpoint import Checkpointer
from agent.runtime.outgoing import Outgoing
from agent.runtime.producer import Sink
from agent.runtime.snapshot_store import SnapshotStore
from agent.runtime.transport import BatchConsumer
from agent.settings import AgentSettings
from agent.stages.detect import SystemDetection
from agent.timeouts import DEFAULT_TIMEOUTS, SYSTEM_CLOCK, Clock, Timeouts
from agent.web.health import Health, Progress
from agent.web.server import HealthServer
from broker.admin import check_topics
from broker.templates import read_templates
from schemas.codec import encode
from schemas.model_record import ModelStatus

RELEASE_SHARE = 0.6  # of the time to stop is for the last checkpoint


class Worker:
    """Everything of an agent but Faust; Faust's transport calls `restore` and `release`, its agent `take`."""

    def __init__(
        self, settings: AgentSettings, timeouts: Timeouts = DEFAULT_TIMEOUTS, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.settings = settings
        self.timeouts = timeouts
        self.metrics = Metrics()
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.port = 0
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="fusionlog-stages")
        self._sink = Sink(settings.kafka, self.metrics, self.fail, timeouts=timeouts, clock=clock)
        self.systems = {
            system.spec.name: SystemDetection(
                system.spec,
                source=f"/fusionlog/{settings.cluster}",
                replay=settings.replay,
                anomalous_only=settings.window_records == "anomalous",
                now_ms=clock.wall_ms,
            )
            for system in settings.systems
        }
        stages = {topic: self.systems[system.spec.name].stage for system in settings.systems for topic in system.topics}
        store = SnapshotStore(settings.kafka, settings.topics.state, settings.group, self._sink, timeouts=timeouts)
        self.checkpointer = Checkpointer(
            settings, stages, store, self._sink, self.metrics, self.run, timeouts=timeouts, clock=clock
        )
        self.models = ModelWatcher(
            settings, self._report_model, self.metrics, self._swap, timeouts=timeouts, clock=clock
        )
        self._progress = Progress(settings.http.stalled_seconds, clock.monotonic)
        self._live = Health(ok=True, detail={})
        self._ticked_at: float | None = None
        self._assigned = False
        self._server = HealthServer(
            settings.http.host, settings.http.port, self.metrics, self._alive, self._ready, timeouts
        )
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
        templates = await asyncio.to_thread(read_templates, settings.kafka, settings.topics.templates)
        for system in self.systems.values():
            await self.run(system.catalogue.load, templates)
        await self.models.start()
        self._ticked_at = self._clock.monotonic()
        for seconds, action in (
            (settings.checkpoint_seconds, self.checkpointer.checkpoint),
            (self.timeouts.tick_seconds, self._tick),
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
        """Make a last checkpoint and give the partitions up."""
        self._assigned = False
        await self.checkpointer.release(self.settings.shutdown_seconds * RELEASE_SHARE)

    async def take(self, tp: Any, batch: Batch) -> None:
        """Process a batch; any error ends the agent, since Faust would acknowledge the batch and go on."""
        partition = self.checkpointer.partitions.get(tp)
        if partition is None or self.failure is not None:
            return
        with self._failing("a batch cannot be processed", partition=str(tp)):
            await partition.take(batch)
            await self._sink.room()

    async def _swap(self, system: str, serving: ModelServing) -> None:
        await self.run(self.systems[system].swap, serving)

    def _report_model(self, status: ModelStatus) -> None:
        key = f"{status.system}/{status.worker}".encode()
        self._sink.send([Outgoing(self.settings.topics.models_status, key, encode(status))])

    async def _guard(self, loop: Coroutine[Any, Any, None]) -> None:
        with self._failing("a background task has failed"):
            await loop

    @contextlib.contextmanager
    def _failing(self, problem: str, **where: str) -> Iterator[None]:
        """End the agent because of any error inside."""
        try:
            yield
        except AgentError as error:
            self.fail(error)  # logged when the agent ends
        except Exception as error:  # noqa: BLE001
            self._log.error(problem, **where, exception=redacted_traceback(error))
            self.fail(error)

    async def _tick(self) -> None:
        """Update gauges and liveness, and close windows by the clock."""
        fetched = await self.checkpointer.progress()
        lag = 0
        positions: dict[object, int] = {}
        for name, partition in list(self.checkpointer.partitions.items()):
            found = fetched.get(name)
            if found is None:
                continue
            positions[name] = partition.stage.position
            behind = partition.lag(found)
            lag += behind
            self._show(partition, behind)
            if self.settings.close_idle_by_clock and partition.silent(found):
                await partition.close_idle()
        self._live = self._progress.observe(positions, lag)
        for name, system in self.systems.items():
            stages = [one.stage for one in self.checkpointer.partitions.values() if one.stage.system == name]
            self.metrics.open_windows.labels(name).set(sum(stage.open_windows for stage in stages))
            self.metrics.templates.labels(name, "learned").set(len(system.catalogue))
        self.models.observe()
        self.checkpointer.observe()
        self._ticked_at = self._clock.monotonic()

    def _show(self, partition: AssignedPartition, behind: int) -> None:
        labels = (partition.name.topic, str(partition.name.partition))
        self.metrics.lag_records.labels(*labels).set(behind)
        newest_ms, now_ms = partition.newest_record_ms, self._clock.wall_ms()
        late = 0.0 if behind == 0 or newest_ms is None else max(0.0, (now_ms - newest_ms) / 1000)
        self.metrics.lag_seconds.labels(*labels).set(late)
        watermark_ms = partition.stage.watermark_ms
        if watermark_ms is not None:
            self.metrics.watermark_delay.labels(*labels).set((now_ms - watermark_ms) / 1000)

    def _alive(self) -> Health:
        """What the last tick found; not alive when that is too long ago, since the tick then waits for an answer."""
        if self._ticked_at is None:
            return self._live
        still = self._clock.monotonic() - self._ticked_at
        if still < self.timeouts.tick_seconds + self.settings.http.stalled_seconds:
            return self._live
        return Health(ok=False, detail={**self._live.detail, "seconds_without_tick": round(still, 1)})

    def _ready(self) -> Health:
        models = {name: system.model_version for name, system in self.systems.items()}
        partitions = len(self.checkpointer.partitions)
        return Health(self._assigned, {"assigned": self._assigned, "partitions": partitions, "models": models})


async def every(seconds: float, action: Callable[[], Awaitable[object]]) -> None:
    """Call an async action forever, `seconds` apart; a time-out of the action is ignored."""
    while True:
        await asyncio.sleep(seconds)
        with contextlib.suppress(TimeoutError):
            await action()
