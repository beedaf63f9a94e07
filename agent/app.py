"""The Faust application and the process around it."""

import asyncio
import contextlib
import logging
import signal
import tempfile
from typing import Any

import faust
import structlog

from agent.errors import AgentError, redacted_traceback
from agent.runtime.transport import BatchSchema, BatchTransport
from agent.settings import AgentSettings
from agent.worker import Worker
from broker.errors import BrokerError

STREAM_BATCHES = 8  # batches that wait for the pipeline; Faust counts events, and an event is a batch
# Faust's own bound on restoring partitions; `Timeouts.restore_seconds` is shorter and logs the reason.
REQUEST_SECONDS = 600


class AgentApp(faust.App):  # type: ignore[misc]  # Faust has no types
    """A Faust app on the batch transport; `worker` does the work."""

    logger = logging.getLogger("faust.app")
    worker: Worker

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self, self.worker)


class _Services(faust.app.BootStrategy):  # type: ignore[misc]
    """Faust starts its consumer only: its producer is not idempotent, and its web server is open to everyone."""

    enable_kafka_producer = False
    enable_web = False


def create_app(settings: AgentSettings) -> AgentApp:
    """The agent of the settings; opens no connection."""
    app = AgentApp(
        settings.group,
        broker=[f"kafka://{server.strip()}" for server in settings.kafka.bootstrap_servers.split(",")],
        datadir=tempfile.gettempdir(),  # Faust needs one; without tables it writes nothing there
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        key_serializer="raw",
        value_serializer="raw",
        stream_buffer_maxsize=STREAM_BATCHES,
        stream_wait_empty=True,  # then Faust calls `wait_empty`, which is our last checkpoint
        broker_request_timeout=REQUEST_SECONDS,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_commit_interval=60,
    )
    app.worker = Worker(settings)
    app.boot_strategy = _Services(app)
    raw = app.topic(*settings.raw_topics, schema=BatchSchema())

    async def pipeline(stream: Any) -> None:
        async for event in stream.noack().events():
            await app.worker.take(event.message.tp, event.value)

    app.agent(raw, name="pipeline")(pipeline)
    return app


def run(settings: AgentSettings) -> int:
    """Run the agent until SIGTERM or SIGINT; 0 after such a stop, 1 after an error, which is logged."""
    log = structlog.get_logger(__name__)
    try:
        saved = asyncio.run(_serve(settings))
    except (AgentError, BrokerError) as error:
        log.error("agent has stopped", error=str(error))  # noqa: TRY400 - the message is enough
        return 1
    except Exception as error:  # noqa: BLE001
        log.error("agent has stopped because of an unexpected error", exception=redacted_traceback(error))  # noqa: TRY400
        return 1
    if saved:
        log.info("agent has stopped cleanly")
    else:
        log.warning("agent has stopped without a last checkpoint; the lines since the one before are read again")
    return 0


async def _serve(settings: AgentSettings) -> bool:
    """Run the agent until a signal stops it; whether its last checkpoint was made.

    Raises:
        AgentError: the agent cannot go on.
        BrokerError: the broker does not answer at the start, or a topic is missing.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = create_app(settings)
    worker = app.worker
    stopping = asyncio.create_task(stop.wait())
    started = asyncio.create_task(_start(app))
    watched = [stopping, started, *(asyncio.create_task(event.wait()) for event in (worker.failed, app._crashed))]  # noqa: SLF001
    try:
        while True:
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if done != {started} or started.exception() is not None:
                break
            watched.remove(started)
        error = worker.failure or app.crash_reason
        if error is None and started.done() and not started.cancelled():
            error = started.exception()
        if error is not None:
            worker.checkpointer.abandon()
            raise error
    finally:
        await _stop(app, [started, *watched], settings.shutdown_seconds)
    return worker.checkpointer.saved


async def _start(app: AgentApp) -> None:
    await app.worker.start()
    await app.start()
    structlog.get_logger(__name__).info("agent is running", group=app.worker.settings.group, port=app.worker.port)


async def _stop(app: AgentApp, tasks: list[asyncio.Task[Any]], seconds: float) -> None:
    log = structlog.get_logger(__name__)
    try:
        async with asyncio.timeout(seconds):
            if app.started:
                await app.stop()
    except TimeoutError:
        log.warning("Faust is not stopped in time; what is not committed is read again", seconds=seconds)
    except Exception:
        log.exception("Faust could not be stopped cleanly")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    try:
        await asyncio.wait_for(app.worker.stop(), app.worker.timeouts.worker_stop_seconds)
    except TimeoutError:
        log.warning("connections are not closed in time", seconds=app.worker.timeouts.worker_stop_seconds)
