"""Watches the models topic, loads and verifies the models it names; a refused model changes nothing."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog
from confluent_kafka import Message

from agent.metrics import Metrics
from agent.models.serving import ModelServing
from agent.settings import AgentSettings
from agent.timeouts import DEFAULT_TIMEOUTS, SYSTEM_CLOCK, Clock, Timeouts
from broker.registry.artifacts import load_artifact, open_store
from broker.registry.blob_stores import BlobStore
from broker.registry.records import Registry
from broker.topic_reader import TopicReader
from detector.artifact.export import unpack
from detector.errors import ArtifactError, SpecMismatch
from detector.input.redact import redact
from detector.system import SystemSpec
from schemas.errors import RecordError
from schemas.model_record import ModelPointer, ModelStatus

POLL_SECONDS = 1.0
MESSAGE_CHARACTERS = 500

Swap = Callable[[str, ModelServing], Awaitable[None]]
"""Puts a verified model into service for a system, between two batches."""
Report = Callable[[ModelStatus], object]
"""Writes a status record; returns at once."""
OpenStore = Callable[[str], BlobStore]
"""The artifact store of a URL; left out, one that the settings can reach."""


@dataclass(frozen=True)
class _Wanted:
    """A pointer, the epoch of what names it, and when to try it (again) in monotonic seconds."""

    pointer: ModelPointer
    epoch: int
    at: float = 0.0


class ModelWatcher:
    """Keeps every system on the model that its alias (or the pinned version) names."""

    def __init__(
        self,
        settings: AgentSettings,
        report: Report,
        metrics: Metrics,
        swap: Swap,
        *,
        open_artifacts: OpenStore | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._send_status = report
        self._metrics = metrics
        self._swap = swap
        self._open_artifacts = open_artifacts or (lambda url: open_store(url, settings.kafka, settings.topics))
        self._timeouts = timeouts
        self._clock = clock
        self._specs = {system.spec.name: system.spec for system in settings.systems}
        self._registry = Registry()
        self._wanted: dict[str, _Wanted] = {}
        self._tried: dict[str, tuple[int, str]] = {}
        self._served: dict[str, ModelPointer] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._worker = f"{settings.instance_id or socket.gethostname()}-{os.getpid()}"
        self._log = structlog.get_logger(__name__)

    async def start(self) -> None:
        """Read the models topic to its end, load what it names, then wait for first models (`wait_seconds`).

        Raises:
            BrokerError: the topic is absent or the broker does not answer.
        """
        reader = await self._opened()
        await self._load_wanted()
        self._task = asyncio.create_task(self._watch(reader))
        await self._wait_for_first()

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def observe(self) -> None:
        """Bring `model_age_seconds` up to date."""
        for system, pointer in self._served.items():
            self._metrics.model_age.labels(system).set(max(0.0, (self._clock.wall_ms() - pointer.created_ms) / 1000))

    async def _wait_for_first(self) -> None:
        deadline = self._clock.monotonic() + self._settings.model.wait_seconds
        while len(self._served) < len(self._specs) and self._clock.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), max(0.0, deadline - self._clock.monotonic()))
            self._changed.clear()
        for system in sorted(self._specs.keys() - self._served.keys()):
            self._log.warning("no model yet: the baseline serves, and its alerts say so", system=system)

    async def _opened(self) -> TopicReader:
        """A reader of the models topic, which has been read to its end."""
        reader = TopicReader(self._settings.kafka, self._settings.topics.models)
        try:
            self._fold(await asyncio.to_thread(lambda: list(reader.read_all(self._timeouts.models_read_seconds))))
        except BaseException:
            await reader.close_in_thread()
            raise
        return reader

    async def _watch(self, reader: TopicReader | None) -> None:
        while True:
            try:
                reader = reader or await self._opened()
                while True:
                    self._fold(await asyncio.to_thread(reader.poll, POLL_SECONDS))
                    await self._load_wanted()
            except Exception as error:  # noqa: BLE001 - detection goes on with its present model
                self._log.warning("models topic cannot be read, trying again", error=str(error))
            finally:
                if reader is not None:
                    await reader.close_in_thread()
            reader = None
            await asyncio.sleep(self._timeouts.model_retry_seconds)

    def _fold(self, records: Sequence[Message]) -> None:
        changed: set[str] = set()
        for record in records:
            try:
                changed.add(self._registry.add(record.key(), record.value()) or "")
            except RecordError as error:
                self._log.warning("model record ignored", offset=record.offset(), error=str(error))
        for system in changed & self._specs.keys():
            model = self._settings.model
            pointer = (
                self._registry.champion(system, model.alias)
                if model.version is None
                else self._registry.version(system, model.version)
            )
            if pointer is None or pointer == self._served.get(system):
                self._wanted.pop(system, None)
                continue
            # An alias that is moved there again asks for another try: the cause of the refusal may be gone.
            moved = self._registry.aliases.get((system, model.alias)) if model.version is None else None
            epoch = pointer.epoch if moved is None else moved.epoch
            if (epoch, pointer.sha256) == self._tried.get(system):
                self._wanted.pop(system, None)
            else:
                self._wanted[system] = _Wanted(pointer, epoch)

    async def _load_wanted(self) -> None:
        for system, wanted in list(self._wanted.items()):
            if wanted.at <= self._clock.monotonic():
                del self._wanted[system]
                await self._load(system, wanted)

    async def _load(self, system: str, wanted: _Wanted) -> None:
        pointer = wanted.pointer
        try:
            serving = await asyncio.to_thread(self._verified, self._specs[system], pointer)
        except ArtifactError as error:
            self._tried[system] = wanted.epoch, pointer.sha256
            self._report(pointer, "refused", str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a model, the old one keeps serving
            # The store is unreachable or the device is full: that says nothing about the model and may pass.
            self._wanted[system] = replace(wanted, at=self._clock.monotonic() + self._timeouts.model_retry_seconds)
            self._report(pointer, "unavailable", str(error) or type(error).__name__)
        else:
            await self._swap(system, serving)
            self._tried.pop(system, None)
            self._served[system] = pointer
            self._show(system, serving)
            self._report(pointer, "loaded", "")
            self._changed.set()

    def _verified(self, spec: SystemSpec, pointer: ModelPointer) -> ModelServing:
        """Load and check a model; runs in a thread.

        Raises:
            StoreError: its content cannot be read now.
            ArtifactError: it is refused.
        """
        settings = self._settings
        store = self._open_artifacts(pointer.store)
        files = load_artifact(store, pointer.sha256, settings.model.max_bytes)
        try:
            model = unpack(files, pointer.sha256, settings.model.max_bytes, version=pointer.version)
        except ArtifactError:
            raise
        except Exception as error:  # the content matches its hash: reading it again would fail in the same way
            raise ArtifactError(f"artifact must be readable, got {type(error).__name__}: {error}") from error
        if model.name != spec.name:
            raise ArtifactError(f"model must be of system {spec.name!r}, got one of {model.name!r}")
        if not spec.accepts(model.spec_fingerprint):
            raise SpecMismatch(
                f"model must be trained for the settings that the agent runs ({spec.fingerprint()}), got "
                f"{model.spec_fingerprint}: give trainer and agent the same format, layout, key, masks and window"
            )
        return ModelServing(model, settings.device)

    def _show(self, system: str, serving: ModelServing) -> None:
        reference = serving.reference
        held = self._labels.pop(system, None)
        if held is not None:
            self._metrics.model_info.remove(*held)
        labels = (system, str(reference.version), reference.sha256, reference.labeller)
        self._labels[system] = labels
        self._metrics.model_info.labels(*labels).set(1)
        self.observe()

    def _report(self, pointer: ModelPointer, result: str, message: str) -> None:
        message = redact(message)[:MESSAGE_CHARACTERS]  # an error may quote a URL with a password
        log = self._log.info if result == "loaded" else self._log.error
        log(f"model {result}", system=pointer.system, version=pointer.version, sha256=pointer.sha256, reason=message)
        self._metrics.model_loads.labels(pointer.system, result).inc()
        status = ModelStatus(
            system=pointer.system,
            version=pointer.version,
            epoch=pointer.epoch,
            sha256=pointer.sha256,
            worker=self._worker,
            result=result,
            message=message,
            time_ms=self._clock.wall_ms(),
        )
        self._send_status(status)
