"""The agent's producer: idempotent, with bounded time-outs, and retries until the broker has acknowledged.

A delivery that is not acknowledged keeps the committed position where it is. No record is dropped: one that cannot be
written at all ends the agent, which then starts again from its last checkpoint.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.partitioner import DefaultPartitioner

from agent.metrics import Metrics
from agent.runtime.outgoing import Outgoing, truncate
from agent.timeouts import DEFAULT_TIMEOUTS, SYSTEM_CLOCK, Clock, Timeouts
from broker.errors import BrokerError
from broker.settings import KafkaSettings

# The client's own limit, far above the broker's, whose refusal is handled.
MAX_REQUEST_BYTES = 64 * 1024 * 1024
PENDING_DELIVERIES = 64
LOG_EVERY_SECONDS = 10.0
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class Sink:
    """Writes records for all partitions; `fail` is called with the error of a delivery that cannot go on."""

    def __init__(
        self,
        kafka: KafkaSettings,
        metrics: Metrics,
        fail: Callable[[BaseException], None] | None = None,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._kafka = kafka
        self._metrics = metrics
        self._fail = fail
        self._timeouts = timeouts
        self._clock = clock
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

    async def stop(self) -> None:
        """Wait a while for outstanding deliveries, then disconnect."""
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=self._timeouts.producer_stop_seconds)
        for task in [*self._deliveries, *self._retired]:
            task.cancel()
        await asyncio.gather(*self._deliveries, *self._retired, return_exceptions=True)
        if self._producer is not None:
            await self._close(self._producer)
            self._producer = None

    def send(self, records: Sequence[Outgoing]) -> asyncio.Task[list[Any]]:
        """Start to write records; the task ends with the records' metadata once all are acknowledged.

        The task raises `OutputTooLarge` where the broker refuses a record that may not be cut.
        """
        task = asyncio.create_task(self._deliver(list(records)))
        self._deliveries.add(task)
        task.add_done_callback(self._settle)
        self._metrics.outputs_pending.set(len(self._deliveries))
        return task

    async def room(self) -> None:
        """Wait while too many deliveries are not yet acknowledged."""
        while len(self._deliveries) >= PENDING_DELIVERIES:
            await asyncio.wait(self._deliveries, return_when=asyncio.FIRST_COMPLETED)
        self._metrics.outputs_pending.set(len(self._deliveries))

    def _settle(self, task: asyncio.Task[list[Any]]) -> None:
        self._deliveries.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._fail is not None:
            self._fail(error)

    async def _deliver(self, records: list[Outgoing]) -> list[Any]:
        written: list[Any] = [None] * len(records)
        waiting = dict(enumerate(records))
        alone: set[int] = set()
        pause = self._timeouts.first_retry_seconds
        while True:
            producer = self._producer
            errors = await self._attempt(producer, waiting, alone, written)
            if not errors:
                return written
            for index, error in errors.items():
                self._metrics.output_retries.labels(waiting[index].topic).inc()
                if isinstance(error, TOO_LARGE):
                    if index in alone:
                        waiting[index] = truncate(waiting[index])
                    alone.add(index)  # the limit is per batch: its neighbors may be too large, not it
            waiting = {index: waiting[index] for index in errors}
            self._log(waiting, errors)
            if not all(isinstance(error, TOO_LARGE) for error in errors.values()):
                await self._replace(producer)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timeouts.longest_retry_seconds)

    async def _attempt(
        self, producer: Any, waiting: dict[int, Outgoing], alone: set[int], written: list[Any]
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
            done, late = await asyncio.wait(futures, timeout=self._timeouts.delivery_seconds)
            for future in late:
                errors[futures[future]] = TimeoutError(f"no acknowledgement in {self._timeouts.delivery_seconds:g} s")
            for future in done:
                problem = future.exception() if not future.cancelled() else TimeoutError("producer was closed")
                if problem is not None:
                    errors[futures[future]] = problem
                else:
                    written[futures[future]] = future.result()
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
            await self._close(producer)
            raise
        return producer

    async def _replace(self, broken: Any) -> None:
        """Replace a producer that failed: after some errors an idempotent one cannot go on."""
        async with self._replacing:
            if self._producer is not broken:
                return  # another delivery has replaced it
            try:
                self._producer = await self._connected()
            except (KafkaError, OSError):
                return  # the broker does not answer; the next attempt tries again
            retired = asyncio.create_task(self._close(broken))
            self._retired.add(retired)
            retired.add_done_callback(self._retired.discard)

    async def _close(self, producer: Any) -> None:
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(producer.stop(), self._timeouts.producer_stop_seconds)

    def _log(self, waiting: dict[int, Outgoing], errors: dict[int, BaseException]) -> None:
        now = self._clock.monotonic()
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


async def _send(producer: Any, record: Outgoing) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = await producer.send(
        record.topic, record.value, key=record.key, partition=record.partition, headers=list(record.headers)
    )
    return future
