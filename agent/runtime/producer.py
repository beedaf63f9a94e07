"""What leaves the agent: one idempotent producer, bounded time-outs, retries until the broker has acknowledged.

A delivery that is not acknowledged keeps the committed position where it is. Nothing is ever given up: what cannot be
written at all ends the agent, which then begins again at its last checkpoint.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.partitioner import DefaultPartitioner

from agent.errors import OutputTooLarge
from agent.metrics import Metrics
from agent.stages.detect import Output, Rejected
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
CUT_KEY_BYTES = 4_000
LOG_EVERY_SECONDS = 10.0
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
NULL_VALUE = "fusionlog.dlq.original.null"
"""Header of a dead letter whose record had no value at all; its own value is empty."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written.

    Attributes:
        cuttable: may lose the end of its value, and then all that is not ours, if the broker finds it too large.
        foreign_headers: how many of the headers, from the first, are not ours.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    cuttable: bool = False
    foreign_headers: int = 0


class Sink:
    """Writes records for all partitions.

    Args:
        kafka: where to.
        metrics: of the agent.
        fail: is told when a delivery cannot go on; without it only who waits for the delivery hears of it.
    """

    def __init__(
        self, kafka: KafkaSettings, metrics: Metrics, fail: Callable[[BaseException], None] | None = None
    ) -> None:
        self._kafka = kafka
        self._metrics = metrics
        self._fail = fail
        self._partitioner = DefaultPartitioner()
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
        """Start to write records; the task ends with their places once all are acknowledged.

        The task raises `OutputTooLarge` where the broker refuses a record that may not be cut.
        """
        task = asyncio.create_task(self._deliver(list(records)))
        self._deliveries.add(task)
        task.add_done_callback(self._settle)
        self._metrics.outputs_pending.set(len(self._deliveries))
        return task

    async def room(self) -> None:
        """Wait while too much is not yet acknowledged."""
        while len(self._deliveries) >= PENDING_DELIVERIES:
            await asyncio.wait(self._deliveries, return_when=asyncio.FIRST_COMPLETED)
        self._metrics.outputs_pending.set(len(self._deliveries))

    def _settle(self, task: asyncio.Task[list[Any]]) -> None:
        self._deliveries.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._fail is not None:
            self._fail(error)

    async def _deliver(self, records: list[Outgoing]) -> list[Any]:
        places: list[Any] = [None] * len(records)
        waiting = dict(enumerate(records))
        alone: set[int] = set()
        pause = RETRY_SECONDS[0]
        while True:
            producer = self._producer
            errors = await self._attempt(producer, waiting, alone, places)
            if not errors:
                return places
            for index, error in errors.items():
                self._metrics.output_retries.labels(waiting[index].topic).inc()
                if isinstance(error, TOO_LARGE):
                    if index in alone:
                        waiting[index] = shorter(waiting[index])
                    alone.add(index)  # the limit is one for batches: its neighbours may be what was too large
            waiting = {index: waiting[index] for index in errors}
            self._log(waiting, errors)
            if not all(isinstance(error, TOO_LARGE) for error in errors.values()):
                await self._replace(producer)
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_SECONDS[1])

    async def _attempt(
        self, producer: Any, waiting: dict[int, Outgoing], alone: set[int], places: list[Any]
    ) -> dict[int, BaseException]:
        errors: dict[int, BaseException] = {}
        futures: dict[asyncio.Future[Any], int] = {}
        for index, record in waiting.items():
            try:
                future = await (self._send_alone if index in alone else _send)(producer, record)
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

    async def _send_alone(self, producer: Any, record: Outgoing) -> asyncio.Future[Any]:
        """Send a record in a batch of its own."""
        partition = record.partition
        if partition is None:
            numbers = sorted(await producer.partitions_for(record.topic))
            partition = self._partitioner(record.key, numbers, numbers)
        batch = producer.create_batch()
        batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
        batch.close()
        future: asyncio.Future[Any] = await producer.send_batch(batch, record.topic, partition=partition)
        return future

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
    """The record with its value cut to the next smaller size; headers say how large it was and what it hashed to.

    Raises:
        OutputTooLarge: it may not be cut, or there is nothing left to cut.
    """
    value, key = record.value or b"", record.key or b""
    if not record.cuttable or not (value or record.foreign_headers or len(key) > CUT_KEY_BYTES):
        raise OutputTooLarge(
            f"topic {record.topic!r} must take a record of {len(value) + len(key)} bytes, got a refusal: raise its "
            "max.message.bytes (or the broker's message.max.bytes) and start the agent again; it goes on where it was"
        )
    size = next((size for size in CUT_BYTES if size < len(value)), 0)
    ours = record.headers[record.foreign_headers :]
    cut: tuple[tuple[str, bytes], ...] = ()
    if not any(name == "fusionlog.dlq.cut" for name, _ in ours):
        cut = (
            ("fusionlog.dlq.cut", b"true"),
            ("fusionlog.dlq.original.bytes", str(len(value)).encode()),
            ("fusionlog.dlq.original.sha256", hashlib.sha256(value).hexdigest().encode()),
        )
    if size:
        return replace(record, value=value[:size], headers=(*record.headers, *cut))
    # Then the record's own headers or its key may be what is too large.
    return replace(record, value=b"", key=record.key and key[:CUT_KEY_BYTES], headers=(*ours, *cut), foreign_headers=0)


def _dead_letter(rejected: Rejected, topic: str) -> Outgoing:
    headers = [(name, value or b"") for name, value in rejected.headers]
    headers += rejected.letter.headers()
    if rejected.value is None:  # a record without key and value cannot be written
        headers.append((NULL_VALUE, b"true"))
    return Outgoing(
        topic,
        rejected.key,
        rejected.value or b"",
        tuple(headers),
        cuttable=True,
        foreign_headers=len(rejected.headers),
    )


async def _send(producer: Any, record: Outgoing) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = await producer.send(
        record.topic, record.value, key=record.key, partition=record.partition, headers=list(record.headers)
    )
    return future


async def _close(producer: Any) -> None:
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(producer.stop(), STOP_SECONDS)
