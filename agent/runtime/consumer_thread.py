"""Faust's consumer thread with a consumer of our own: fetches batches, numbers them, seeks and commits for checkpoints.

What is overridden here is private to Faust; `tests/agent/test_faust_contract.py` pins it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from agent.errors import PositionLost, StaleGeneration, UnreadableRecord
from agent.runtime.batch import Batch, CommittedPosition, FetchProgress
from agent.runtime.fallback_reader import read_plainly, stuck_partitions
from agent.settings import AgentSettings
from agent.stages.stage import KafkaRecord
from broker.errors import BrokerError
from broker.settings import KafkaSettings

BATCH_RECORDS = 4_000  # a batch occupies the worker thread for about a tenth of a second
FETCH_WAIT_MS = 500
MAX_POLL_SECONDS = 600
REBALANCE_SECONDS = 60
# While a broker restarts it may report no partitions, and the group's leader then assigns none: until the next refresh.
METADATA_MS = 30_000

# Faust would log these classes under this module's name, at its own level.
FAUST_LOG = logging.getLogger("faust.transport")

P = ParamSpec("P")
T = TypeVar("T")
_Method = Callable[Concatenate["BatchThread", P], Coroutine[Any, Any, T]]


def _on_own_loop(method: _Method[P, T]) -> _Method[P, T]:
    """A method of the consumer thread that runs on its own loop, wherever it is called."""

    @wraps(method)
    async def run(self: "BatchThread", /, *args: P.args, **kwargs: P.kwargs) -> T:
        future = asyncio.run_coroutine_threadsafe(method(self, *args, **kwargs), self.thread_loop)
        return await asyncio.wrap_future(future)

    return run


class BatchThread(AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    """Faust's consumer thread; batches are numbered where they are fetched."""

    logger = FAUST_LOG
    _serials: dict[TP, tuple[int, int]]
    _positions: dict[TP, int]  # the offset after the last numbered batch

    def __post_init__(self) -> None:
        super().__post_init__()
        self._serials = {}
        self._positions = {}

    def _create_worker_consumer(self, transport: Any) -> Any:
        settings: AgentSettings = transport.application.settings
        # Not Faust's own consumer: Faust turns SASL without an ssl context into plaintext and fails on a CA file.
        return AIOKafkaConsumer(
            **settings.kafka.aiokafka(),
            group_id=settings.group,
            group_instance_id=settings.instance_id,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",  # a position out of the log is an error: moving it would lose lines silently
            isolation_level="read_committed",
            max_poll_records=BATCH_RECORDS,
            max_poll_interval_ms=MAX_POLL_SECONDS * 1000,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=int(settings.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_seconds * 1000 / 5),
            rebalance_timeout_ms=REBALANCE_SECONDS * 1000,
            metadata_max_age_ms=METADATA_MS,
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
                return {}  # the position is about to be restored
            raise _position_lost(error) from error
        except UnicodeDecodeError:
            return await self._fetch_plainly(consumer)
        # No await between the fetch above and the numbering here: a seek cannot come between the two.
        return {tp: [self._numbered(TP(*tp), records)] for tp, records in found.items() if records}

    async def _fetch_plainly(self, consumer: Any) -> Any:
        """A batch read by another client where aiokafka cannot go on: a header name is not UTF-8."""
        if not self.consumer.flow_active:
            return {}  # every partition is about to be restored and sought
        stuck = [TP(*tp) for tp in stuck_partitions(consumer._fetcher)]  # noqa: SLF001
        # The same call dropped records of other partitions after their positions had moved: read them again.
        assigned = consumer.assignment()
        for tp, position in self._positions.items():
            if _aiokafka(tp) in assigned:
                consumer.seek(_aiokafka(tp), position)
        if not stuck or stuck[0] not in self._positions:
            raise UnreadableRecord(
                f"records from {self._positions} on must have header names in UTF-8, got another encoding: "
                "stop the producer and move the group's position past the record"
            )
        tp = stuck[0]
        epoch, position = self.epoch(tp), self._positions[tp]
        FAUST_LOG.warning(
            "header name is not UTF-8 at or after offset %s of %s/%s; its record's headers are left out",
            position,
            tp.topic,
            tp.partition,
        )
        kafka: KafkaSettings = self.transport.application.settings.kafka
        try:
            records: Any = await asyncio.to_thread(read_plainly, kafka, tp.topic, tp.partition, position, BATCH_RECORDS)
        except BrokerError as error:
            FAUST_LOG.warning("records cannot be read, trying again: %s", error)
            return {}
        # A seek, a rebalance or another fetch may have come between.
        moved = (self.epoch(tp), self._positions[tp]) != (epoch, position)
        if not records or moved or _aiokafka(tp) not in consumer.assignment():
            return {}
        consumer.seek(_aiokafka(tp), records[-1].offset + 1)
        return {tp: [self._numbered(tp, records)]}

    def _numbered(self, tp: TP, records: Sequence[KafkaRecord]) -> Batch:
        epoch, serial = self._serials.get(tp, (0, 0))
        self._serials[tp] = (epoch, serial + 1)
        self._positions[tp] = records[-1].offset + 1
        return Batch(epoch, serial + 1, records)

    async def on_thread_stop(self) -> None:
        """Stop the consumer; its connections are closed even where the rest cannot be stopped."""
        try:
            await super().on_thread_stop()
        except (asyncio.CancelledError, KafkaError) as error:
            # Without a broker, aiokafka raises the cancellation of its own fetch tasks and leaves its client open.
            FAUST_LOG.warning("consumer is not stopped cleanly: %r", error)
            await self._ensure_consumer()._client.close()  # noqa: SLF001

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust's check needs its own commits and acknowledgements; see `health.Progress`."""

    @_on_own_loop
    async def positions(self, partitions: Sequence[TP]) -> dict[TP, CommittedPosition]:
        """See `GroupConsumer`."""
        consumer = self._ensure_consumer()
        places = [_aiokafka(tp) for tp in partitions]
        committed = await consumer._coordinator.fetch_committed_offsets(places)  # noqa: SLF001 - committed() drops the metadata
        beginnings = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        positions = {}
        for tp in places:
            found = committed.get(tp)
            known = found is not None and found.offset >= 0
            positions[TP(*tp)] = CommittedPosition(
                found.offset if known else None, (found.metadata or "") if known else "", beginnings[tp], ends[tp]
            )
        return positions

    @_on_own_loop
    async def seek_all(self, positions: Mapping[TP, int]) -> tuple[int, dict[TP, int]]:
        """See `GroupConsumer`."""
        consumer = self._ensure_consumer()
        epochs = {}
        for tp, position in positions.items():
            consumer.seek(_aiokafka(tp), position)
            epochs[tp] = self.epoch(tp) + 1
            self._serials[tp] = (epochs[tp], 0)
            self._positions[tp] = position
        return consumer._coordinator.generation, epochs  # noqa: SLF001

    @_on_own_loop
    async def commit_named(self, commits: Mapping[TP, tuple[int, str]], generation: int) -> None:
        """See `GroupConsumer`."""
        consumer = self._ensure_consumer()
        if consumer._coordinator.generation != generation:  # noqa: SLF001
            raise StaleGeneration(f"generation must be {generation}, got {consumer._coordinator.generation}")  # noqa: SLF001
        await consumer.commit({_aiokafka(tp): OffsetAndMetadata(*commit) for tp, commit in commits.items()})

    @_on_own_loop
    async def progress(self, partitions: Sequence[TP]) -> dict[TP, FetchProgress]:
        """See `GroupConsumer`; on the consumer's own loop, position and serial belong to the same moment."""
        subscription = self._ensure_consumer()._subscription.subscription  # noqa: SLF001
        assignment = None if subscription is None else subscription.assignment
        found = {}
        for tp in partitions:
            if assignment is None or _aiokafka(tp) not in assignment.tps:
                continue
            state = assignment.state_value(_aiokafka(tp))
            position = state.position if state.has_valid_position else None
            found[tp] = FetchProgress(position, state.highwater, self._serials.get(tp, (0, 0))[1])
        return found

    def epoch(self, tp: TP) -> int:
        """The partition's present epoch."""
        return self._serials.get(tp, (0, 0))[0]


def _position_lost(error: KafkaError) -> PositionLost:
    """The error for aiokafka's `OffsetOutOfRangeError({partition: offset})` and `NoOffset…Error(partition)`."""
    found = error.args[0]
    positions = found if isinstance(found, dict) else {found: "none"}
    where = ", ".join(f"{position} of {tp.topic}/{tp.partition}" for tp, position in positions.items())
    return PositionLost(
        f"position {where} must be in the log, got out of range: retention deleted what was not yet read, or the topic "
        "was cut or recreated. The agent starts again from its checkpoint and then logs what is lost"
    )


def _aiokafka(tp: TP) -> Any:
    return TopicPartition(tp.topic, tp.partition)
