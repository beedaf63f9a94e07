"""What leaves the agent: one idempotent producer, bounded time-outs, retries until the broker has acknowledged.

A delivery that is not acknowledged keeps the committed position where it is; nothing is ever given up.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from agent.metrics import Metrics
from agent.pipeline import Output, Rejected
from broker.errors import BrokerError
from broker.settings import KafkaSettings
from schemas.codec import encode
from schemas.topics import Topics

# The client's own limit; the broker's is what counts, and its refusal is handled.
MAX_REQUEST_BYTES = 64 * 1024 * 1024
ATTEMPT_SECONDS = 40.0  # above the producer's 30 s, so that it is the one who gives up
RETRY_SECONDS = (0.1, 5.0)  # first and longest pause
PENDING_DELIVERIES = 64
STOP_SECONDS = 5.0
# A dead letter that the broker finds too large is cut to these, one after the other.
CUT_BYTES = (900_000, 200_000, 40_000, 4_000, 0)
LOG_EVERY_SECONDS = 10.0
NULL_VALUE = "fusionlog.dlq.original.null"
"""Header of a dead letter whose record had no value at all; its own value is empty."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written; one with `cuttable` may lose the end of its value if the broker finds it too large."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    cuttable: bool = False


class Sink:
    """Writes records for all partitions."""

    def __init__(self, kafka: KafkaSettings, metrics: Metrics) -> None:
        self._kafka = kafka
        self._metrics = metrics
        self._producer: Any = None
        self._replacing = asyncio.Lock()
        self._deliveries: set[asyncio.Task[list[Any]]] = set()
        self._retired: set[asyncio.Task[None]] = set()
        self._logged_at = 0.0

    async def start(self) -> None:
        """Connect.

        Raises:
            BrokerError: the broker does not answer.
        """
        try:
            self._producer = await self._connected()
        except (KafkaError, OSError) as error:
            raise BrokerError(
                f"Kafka at {self._kafka.bootstrap_servers} must answer, got {error}: "
                "check kafka.bootstrap_servers, its security settings, and that the broker runs"
            ) from error

    async def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Give outstanding deliveries a last chance, then disconnect."""
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=timeout_seconds)
        for task in [*self._deliveries, *self._retired]:
            task.cancel()
        await asyncio.gather(*self._deliveries, *self._retired, return_exceptions=True)
        if self._producer is not None:
            await _close(self._producer)
            self._producer = None

    def send(self, records: Sequence[Outgoing]) -> asyncio.Task[list[Any]]:
        """Start to write records; the task ends with their places once all are acknowledged."""
        task = asyncio.create_task(self._deliver(list(records)))
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)
        self._metrics.outputs_pending.set(len(self._deliveries))
        return task

    async def room(self) -> None:
        """Wait while too much is not yet acknowledged."""
        while len(self._deliveries) >= PENDING_DELIVERIES:
            await asyncio.wait(self._deliveries, return_when=asyncio.FIRST_COMPLETED)
        self._metrics.outputs_pending.set(len(self._deliveries))

    async def _deliver(self, records: list[Outgoing]) -> list[Any]:
        places: list[Any] = [None] * len(records)
        waiting = dict(enumerate(records))
        pause = RETRY_SECONDS[0]
        while True:
            producer = self._producer
            errors = await self._attempt(producer, waiting, places)
            if not errors:
                return places
            for index, error in errors.items():
                self._metrics.output_retries.labels(waiting[index].topic).inc()
                if isinstance(error, MessageSizeTooLargeError) and waiting[index].cuttable:
                    waiting[index] = shorter(waiting[index])
            waiting = {index: waiting[index] for index in errors}
            self._log(waiting, errors)
            if not all(isinstance(error, MessageSizeTooLargeError) for error in errors.values()):
                await self._replace(producer)
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_SECONDS[1])

    async def _attempt(
        self, producer: Any, waiting: dict[int, Outgoing], places: list[Any]
    ) -> dict[int, BaseException]:
        errors: dict[int, BaseException] = {}
        futures: dict[asyncio.Future[Any], int] = {}
        for index, record in waiting.items():
            try:
                future = await producer.send(
                    record.topic,
                    record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                )
            except (KafkaError, OSError, AssertionError) as error:
                errors[index] = error
            else:
                futures[future] = index
        if futures:
            done, late = await asyncio.wait(futures, timeout=ATTEMPT_SECONDS)
            for future in late:
                errors[futures[future]] = TimeoutError(f"no acknowledgement in {ATTEMPT_SECONDS:g} s")
            for future in done:
                problem = future.exception() if not future.cancelled() else TimeoutError("producer was closed")
                if problem is not None:
                    errors[futures[future]] = problem
                else:
                    places[futures[future]] = future.result()
        return errors

    async def _connected(self) -> Any:
        producer = AIOKafkaProducer(
            **self._kafka.aiokafka(),
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            compression_type="lz4",
            max_batch_size=128 * 1024,
            max_request_size=MAX_REQUEST_BYTES,
        )
        try:
            await producer.start()
        except BaseException:
            await _close(producer)
            raise
        return producer

    async def _replace(self, broken: Any) -> None:
        """Replace a producer that failed: after some errors an idempotent one may not go on."""
        async with self._replacing:
            if self._producer is not broken:
                return  # another delivery was faster
            try:
                self._producer = await self._connected()
            except (KafkaError, OSError):
                return  # the broker is away; the next attempt tries again
            retired = asyncio.create_task(_close(broken))
            self._retired.add(retired)
            retired.add_done_callback(self._retired.discard)

    def _log(self, waiting: dict[int, Outgoing], errors: dict[int, BaseException]) -> None:
        now = time.monotonic()
        if now - self._logged_at < LOG_EVERY_SECONDS:
            return
        self._logged_at = now
        index, error = next(iter(errors.items()))
        structlog.get_logger(__name__).warning(
            "output is not acknowledged, trying again; the position waits",
            topic=waiting[index].topic,
            records=len(errors),
            error=str(error) or type(error).__name__,
        )


def encode_output(output: Output, topics: Topics) -> list[Outgoing]:
    """The records of an output, in the order: dead letters, late lines, templates, windows, alerts."""
    records = [_dead_letter(rejected, topics.dlq) for rejected in output.rejected]
    records += [Outgoing(topics.late, late.key.encode("utf-8", "replace"), encode(late)) for late in output.late]
    records += [
        Outgoing(topics.templates, f"{template.system}/{template.id}".encode(), encode(template))
        for template in output.templates
    ]
    records += [Outgoing(topics.windows, window.id.encode(), encode(window)) for window in output.windows]
    records += [
        Outgoing(topics.alerts, alert.data.fingerprint.encode(), encode(alert), tuple(alert.headers()))
        for alert in output.alerts
    ]
    return records


def shorter(record: Outgoing) -> Outgoing:
    """The record with its value cut to the next smaller size; headers say how large it was and what it hashed to."""
    value = record.value or b""
    size = next((size for size in CUT_BYTES if size < len(value)), 0)
    headers = record.headers
    if not any(name == "fusionlog.dlq.cut" for name, _ in headers):
        headers = (
            *headers,
            ("fusionlog.dlq.cut", b"true"),
            ("fusionlog.dlq.original.bytes", str(len(value)).encode()),
            ("fusionlog.dlq.original.sha256", hashlib.sha256(value).hexdigest().encode()),
        )
    key = record.key
    if size == 0 and key:  # then the key or the record's own headers are what is too large
        own = tuple((name, part) for name, part in headers if name.startswith("fusionlog."))
        return replace(record, value=b"", key=key[: CUT_BYTES[-2]], headers=own)
    if size == 0:
        headers = tuple((name, part) for name, part in headers if name.startswith("fusionlog."))
    return replace(record, value=value[:size], headers=headers)


def _dead_letter(rejected: Rejected, topic: str) -> Outgoing:
    headers = [(name, value or b"") for name, value in rejected.headers]
    headers += rejected.letter.headers()
    if rejected.value is None:  # a record without key and value cannot be written
        headers.append((NULL_VALUE, b"true"))
    return Outgoing(topic, rejected.key, rejected.value or b"", tuple(headers), cuttable=True)


async def _close(producer: Any) -> None:
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(producer.stop(), STOP_SECONDS)
