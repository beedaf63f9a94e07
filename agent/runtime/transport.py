"""Faust transport that delivers one event per (partition, fetched batch), and leaves positions to the application.

Faust spends 59 µs on a message before an agent sees it and commits over held acknowledgements
(docs/streaming.md#transport); a batch is one message to it, nothing is ever acknowledged, and `commit` does nothing:
see `checkpoint.py`.
What is overridden here is private to Faust; `tests/agent/test_faust_contract.py` pins it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, ConsumerMessage

from agent.errors import AgentError, PositionLost, UnreadableRecord
from agent.runtime.fallback_reader import read_plainly, stuck_partitions
from agent.stages.detect import RawRecord
from broker.errors import BrokerError
from broker.settings import KafkaSettings

BATCH_RECORDS = 4_000  # a batch keeps the worker thread for about a tenth of a second
FETCH_WAIT_MS = 500
BUSY_SLEEP_SECONDS = 0.02
FAILED_SLEEP_SECONDS = 1.0
MAX_POLL_SECONDS = 600
REBALANCE_SECONDS = 60

# mode would log our classes under this module's name, at length.
_FAUST_LOG = logging.getLogger("faust.transport")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition as they were fetched.

    Attributes:
        epoch: rises with every seek of the partition; a batch of an older epoch was read before it.
        serial: 1, 2, 3, … within an epoch; a gap means that a batch was lost on the way.
    """

    epoch: int
    serial: int
    records: Sequence[RawRecord]


@dataclass(frozen=True)
class GroupSettings:
    """How the consumer joins its group."""

    kafka: KafkaSettings
    group: str
    instance_id: str | None
    session_timeout_seconds: float


@dataclass(frozen=True)
class Place:
    """Where a partition stands: what is committed for it, and the ends of its log."""

    committed: int | None
    metadata: str
    beginning: int
    end: int


@dataclass(frozen=True)
class Fetched:
    """How far a partition has been fetched.

    Attributes:
        position: the next offset to be fetched; transaction markers and compacted records lie behind it.
        end: end of the partition's log, as of the last fetch.
        serial: of the last batch fetched.
    """

    position: int | None
    end: int | None
    serial: int

    def lag(self, processed: int) -> int:
        """Offsets not yet processed, given the next one to be processed."""
        return 0 if self.end is None else max(0, self.end - processed)


class BatchThread(AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    """Faust's consumer thread, with a consumer of our own making; batches are numbered where they are fetched."""

    logger = _FAUST_LOG
    _serials: dict[TP, tuple[int, int]]
    _positions: dict[TP, int]  # behind what was numbered

    def __post_init__(self) -> None:
        super().__post_init__()
        self._serials = {}
        self._positions = {}

    def _create_worker_consumer(self, transport: Any) -> Any:
        group: GroupSettings = transport.group
        # Ours, not Faust's: Faust turns SASL without an ssl context into plaintext and breaks on a CA file.
        return AIOKafkaConsumer(
            **group.kafka.aiokafka(),
            group_id=group.group,
            group_instance_id=group.instance_id,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",  # a position out of the log is an error: moving it would lose lines silently
            isolation_level="read_committed",
            max_poll_records=BATCH_RECORDS,
            max_poll_interval_ms=MAX_POLL_SECONDS * 1000,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=int(group.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(group.session_timeout_seconds * 1000 / 5),
            rebalance_timeout_ms=REBALANCE_SECONDS * 1000,
        )

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> Any:
        try:
            found = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        except (NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
            if not self.consumer.flow_active:
                return {}  # of a position that restoring is about to replace
            raise _position_lost(error) from error
        except UnicodeDecodeError:
            return await self._fetch_plainly(consumer)
        # No await between the draining above and the numbering here: a seek cannot fall between the two.
        return {tp: [self._numbered(TP(*tp), records)] for tp, records in found.items() if records}

    async def _fetch_plainly(self, consumer: Any) -> Any:
        """A batch read by another client where aiokafka cannot read on: a header name is not UTF-8."""
        if not self.consumer.flow_active:
            return {}  # every partition is about to be restored and sought
        stuck = [TP(*tp) for tp in stuck_partitions(consumer._fetcher)]  # noqa: SLF001
        # What was drained of other partitions in the same call is gone, though their positions moved: read it again.
        assigned = consumer.assignment()
        for tp, position in self._positions.items():
            if _aiokafka(tp) in assigned:
                consumer.seek(_aiokafka(tp), position)
        if not stuck or stuck[0] not in self._positions:
            raise UnreadableRecord(
                f"records from {self._positions} on must have header names in UTF-8, got one that has not: "
                "stop its producer and move the group's position behind it"
            )
        tp = stuck[0]
        epoch, position = self.epoch(tp), self._positions[tp]
        _FAUST_LOG.warning(
            "header name is not UTF-8 at or behind offset %s of %s/%s; its record's headers are left out",
            position,
            tp.topic,
            tp.partition,
        )
        kafka: KafkaSettings = self.transport.group.kafka
        try:
            records: Any = await asyncio.to_thread(read_plainly, kafka, tp.topic, tp.partition, position, BATCH_RECORDS)
        except BrokerError as error:
            _FAUST_LOG.warning("records cannot be read, trying again: %s", error)
            return {}
        # A seek, a rebalance or another fetch may have come between.
        moved = (self.epoch(tp), self._positions[tp]) != (epoch, position)
        if not records or moved or _aiokafka(tp) not in consumer.assignment():
            return {}
        consumer.seek(_aiokafka(tp), records[-1].offset + 1)
        return {tp: [self._numbered(tp, records)]}

    def _numbered(self, tp: TP, records: Sequence[RawRecord]) -> Batch:
        epoch, serial = self._serials.get(tp, (0, 0))
        self._serials[tp] = (epoch, serial + 1)
        self._positions[tp] = records[-1].offset + 1
        return Batch(epoch, serial + 1, records)

    async def on_thread_stop(self) -> None:
        """Stop the consumer, and its connections even where the rest of it cannot be stopped."""
        try:
            await super().on_thread_stop()
        except (asyncio.CancelledError, KafkaError) as error:
            # With the broker away, aiokafka lets the cancellation of its own fetch tasks out, and its client open.
            _FAUST_LOG.warning("consumer is not stopped cleanly: %r", error)
            await self._ensure_consumer()._client.close()  # noqa: SLF001

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: it judges by commits and acknowledgements that we do not make; see `health.Progress`."""

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the consumer's own loop."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop)
        return await asyncio.wrap_future(future)

    async def places(self, partitions: Sequence[TP]) -> dict[TP, Place]:
        """Committed offset with its metadata, and both ends of the log, of each partition."""
        return await self.run(self._places([_aiokafka(tp) for tp in partitions]))

    async def _places(self, partitions: list[Any]) -> dict[TP, Place]:
        consumer = self._ensure_consumer()
        committed = await consumer._coordinator.fetch_committed_offsets(partitions)  # noqa: SLF001 - committed() drops the metadata
        beginnings = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        places = {}
        for tp in partitions:
            found = committed.get(tp)
            known = found is not None and found.offset >= 0
            places[TP(*tp)] = Place(
                found.offset if known else None, (found.metadata or "") if known else "", beginnings[tp], ends[tp]
            )
        return places

    async def seek_all(self, positions: Mapping[TP, int]) -> tuple[int, dict[TP, int]]:
        """Seek; the group's generation, and the new epoch of each partition."""
        return await self.run(self._seek_all(positions))

    async def _seek_all(self, positions: Mapping[TP, int]) -> tuple[int, dict[TP, int]]:
        consumer = self._ensure_consumer()
        epochs = {}
        for tp, position in positions.items():
            consumer.seek(_aiokafka(tp), position)
            epochs[tp] = self._serials.get(tp, (0, 0))[0] + 1
            self._serials[tp] = (epochs[tp], 0)
            self._positions[tp] = position
        return consumer._coordinator.generation, epochs  # noqa: SLF001

    async def commit_named(self, commits: Mapping[TP, tuple[int, str]], generation: int) -> None:
        """Commit positions with metadata, if the group is still of that generation.

        Raises:
            KafkaError: the broker refused, or is not there.
            StaleGeneration: there was a rebalance; another worker may own the partitions.
        """
        await self.run(self._commit_named(commits, generation))

    async def _commit_named(self, commits: Mapping[TP, tuple[int, str]], generation: int) -> None:
        consumer = self._ensure_consumer()
        if consumer._coordinator.generation != generation:  # noqa: SLF001
            raise StaleGeneration(f"generation must be {generation}, got {consumer._coordinator.generation}")  # noqa: SLF001
        await consumer.commit({_aiokafka(tp): OffsetAndMetadata(*commit) for tp, commit in commits.items()})

    async def progress(self, partitions: Sequence[TP]) -> dict[TP, Fetched]:
        """How far each partition has been fetched; those that are not assigned are left out."""
        return await self.run(self._progress(partitions))

    async def _progress(self, partitions: Sequence[TP]) -> dict[TP, Fetched]:
        # On the consumer's own loop, so position and serial belong to the same moment.
        subscription = self._ensure_consumer()._subscription.subscription  # noqa: SLF001
        assignment = None if subscription is None else subscription.assignment
        found = {}
        for tp in partitions:
            if assignment is None or _aiokafka(tp) not in assignment.tps:
                continue
            state = assignment.state_value(_aiokafka(tp))
            position = state.position if state.has_valid_position else None
            found[tp] = Fetched(position, state.highwater, self._serials.get(tp, (0, 0))[1])
        return found

    def epoch(self, tp: TP) -> int:
        """The partition's present epoch."""
        return self._serials.get(tp, (0, 0))[0]


class StaleGeneration(Exception):
    """The group has gone through a rebalance since."""


class BatchConsumer(Consumer):  # type: ignore[misc]
    """Faust's consumer: hands batches on, and asks the application wherever Faust would seek, wait or commit."""

    logger = _FAUST_LOG
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
            # Raised from here, Faust would log it with its stack, twice; this way the message is one line.
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
        """Nothing: positions are committed by checkpoints alone."""
        del topics, start_new_transaction
        return False

    async def sleep(self, n: float) -> None:
        """Sleep; the full second that Faust waits when all buffers are full is far too long for batches."""
        await super().sleep(BUSY_SLEEP_SECONDS if n == 1 and self._buffered_partitions else n)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: a position is not a count, so gaps in the offsets do not matter."""


class BatchTransport(Transport):  # type: ignore[misc]
    """Faust's Kafka transport with batches.

    Args:
        url, app: Faust's own.
        group: how to join the group.
        application: restores partitions (`restore`), checkpoints before they go (`release`), and ends the agent
            (`fail`).
    """

    Consumer = BatchConsumer

    def __init__(self, url: Any, app: Any, group: GroupSettings, application: Any) -> None:
        super().__init__(url, app)
        self.group = group
        self.application = application


class BatchSchema(faust.Schema):  # type: ignore[misc]
    """Hands a batch over untouched."""

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


def _position_lost(error: KafkaError) -> PositionLost:
    """What to say of aiokafka's errors: `OffsetOutOfRangeError({partition: offset})`, `NoOffset…Error(partition)`."""
    found = error.args[0]
    positions = found if isinstance(found, dict) else {found: "none"}
    where = ", ".join(f"{position} of {tp.topic}/{tp.partition}" for tp, position in positions.items())
    return PositionLost(
        f"position {where} must be in the log, got out of range: retention deleted what was not yet read, or the topic "
        "was cut or recreated. The agent starts again from its checkpoint, and then says what is lost"
    )


def _aiokafka(tp: TP) -> Any:
    from aiokafka import TopicPartition

    return TopicPartition(tp.topic, tp.partition)
