"""Faust transport that delivers one event per (partition, fetched batch), and leaves positions to the application.

Faust spends 59 µs on a message before an agent sees it and commits over held acknowledgements (`docs/streaming.md`);
here a batch is one message, nothing is ever acknowledged, and `commit` does nothing: see `checkpoint.py`.
What is overridden here is private to Faust; `tests/agent/test_faust_contract.py` pins it.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import faust
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP, ConsumerMessage

from agent.errors import AgentError
from agent.runtime.batch import Batch
from agent.runtime.consumer_thread import FAUST_LOG, BatchThread
from agent.settings import AgentSettings
from broker.errors import BrokerError

BUSY_SLEEP_SECONDS = 0.02
FAILED_SLEEP_SECONDS = 1.0


class Application(Protocol):
    """What the transport calls."""

    settings: AgentSettings

    async def restore(self, consumer: "BatchConsumer") -> None:
        """Restore the assigned partitions and seek to their positions."""

    async def release(self) -> None:
        """Make a last checkpoint before partitions are revoked or the agent stops."""

    def fail(self, error: BaseException) -> None:
        """End the agent because of an error."""


class BatchConsumer(Consumer):  # type: ignore[misc]
    """Faust's consumer: delivers batches, and calls the application where Faust would seek, wait or commit."""

    logger = FAUST_LOG
    _thread: BatchThread

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> BatchThread:
        """The consumer's thread."""
        return self._thread

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's signature
        """Batches of the next fetch, each as one message."""
        try:
            records, _ = await self._wait_next_records(timeout)
        except (AgentError, BrokerError) as error:
            # If it were raised here, Faust would log it twice with its stack; this way the message is one line.
            self.transport.application.fail(error)
            await self.sleep(FAILED_SLEEP_SECONDS)
            return
        if records is None or self.should_stop:
            return
        for key, batches in records.items():
            tp = TP(*key)
            for batch in batches:
                # When the flow was stopped, a seek follows before it resumes, and the batch is fetched again.
                if not self.flow_active or batch.epoch != self._thread.epoch(tp):
                    continue
                yield tp, _message(tp, batch, self.app.consumer_generation_id)

    async def perform_seek(self) -> None:
        """Have the application restore every assigned partition and seek to its position."""
        await self.transport.application.restore(self)

    async def wait_empty(self) -> None:
        """Have the application make its last checkpoint before partitions go or the worker stops."""
        await self.transport.application.release()

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Do nothing: positions are committed by checkpoints alone."""
        del topics, start_new_transaction
        return False

    async def sleep(self, n: float) -> None:
        """Sleep; the full second that Faust waits when all buffers are full is far too long for batches."""
        await super().sleep(BUSY_SLEEP_SECONDS if n == 1 and self._buffered_partitions else n)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: a position is not a count, so gaps in the offsets do not matter."""


class BatchTransport(Transport):  # type: ignore[misc]
    """Faust's Kafka transport with batches; `application` restores and releases partitions, and ends the agent."""

    Consumer = BatchConsumer

    def __init__(self, url: Any, app: Any, application: Application) -> None:
        super().__init__(url, app)
        self.application = application


class BatchSchema(faust.Schema):  # type: ignore[misc]
    """Delivers a batch unchanged."""

    def compile(
        self,
        app: Any,
        *,
        on_key_decode_error: Any = None,
        on_value_decode_error: Any = None,
        default_propagate: bool = False,
    ) -> Callable[..., Any]:
        """The decoder of a message, which decodes nothing."""
        del on_key_decode_error, on_value_decode_error

        async def decode(message: Any, *, propagate: bool = default_propagate) -> Any:
            del propagate
            return app.create_event(None, message.value, message.headers, message)

        return decode


def _message(tp: TP, batch: Batch, generation: int) -> Any:
    last: Any = batch.records[-1]
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        last.offset,
        (last.timestamp or 0) / 1000,
        0,
        (),
        None,
        batch,
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )
