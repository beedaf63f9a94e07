"""Reading a topic without a consumer group: up to fixed ends, or following what comes. Nothing is ever committed."""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, Self

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from broker.connection_check import unanswered
from broker.errors import BrokerError, OffsetGone, TopicError
from broker.settings import ANSWER_SECONDS, KafkaSettings

EARLIEST, LATEST = OFFSET_BEGINNING, OFFSET_END
STALL_SECONDS = 30.0
POLL_SECONDS = 0.5
BATCH_RECORDS = 2_000
RETRY_SECONDS = 0.1
_END_OF_PARTITION = KafkaError._PARTITION_EOF  # noqa: SLF001 - its public name
# A partition that was created a moment ago has no leader yet.
_TEMPORARY = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
# Errors that waiting does not cure; librdkafka retries all others by itself.
_LASTING = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._FATAL,  # noqa: SLF001
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_OUT_OF_RANGE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001


class TopicReader:
    """Reads committed records of one topic; leaving the context closes it.

    Methods may be called from any thread, one at a time; `close` may be called while another thread reads, whose call
    then ends with a BrokerError. They raise BrokerError where the broker does not answer, and TopicError where the
    topic is absent or cannot be read.

    Args:
        answer_seconds: bound of each question about the topic.
        out_of_range: what happens at a position that the log does not hold: read on at the oldest record, or fail.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        out_of_range: Literal["earliest", "error"] = "earliest",
    ) -> None:
        self._kafka = kafka
        self.topic = topic
        self._answer_seconds = answer_seconds
        self._ended: set[int] = set()
        self._closed = False
        self._lock = threading.RLock()
        self._consumer = Consumer(
            kafka.librdkafka()
            | {
                # assign() joins no group, but librdkafka requires a name.
                "group.id": f"{kafka.client_id}-reader",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": out_of_range,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "allow.auto.create.topics": False,
                # The default of a second between fetches costs four fifths of the speed.
                "fetch.queue.backoff.ms": 2,
                "queued.max.messages.kbytes": 16 * 1024,  # 64 MB by default, for each reader
            }
        )

    def partitions(self) -> list[int]:
        """Numbers of the topic's partitions."""
        with self._open() as consumer:
            try:
                found = consumer.list_topics(self.topic, timeout=self._answer_seconds).topics.get(self.topic)
            except KafkaException as error:
                raise unanswered(self._kafka, error, self._answer_seconds) from error
        if found is None or found.error is not None or not found.partitions:
            problem = "no partitions" if found is None or found.error is None else found.error.str()
            raise TopicError(
                f"topic {self.topic!r} must exist and be readable on {self._kafka.bootstrap_servers}, got {problem}: "
                "create it with `fusionlog topics create`"
            )
        return sorted(found.partitions)

    def answers(self, seconds: float) -> bool:
        """Whether the broker answers a question about the topic in time."""
        with self._open() as consumer:
            try:
                consumer.list_topics(self.topic, timeout=seconds)
            except KafkaException:
                return False
        return True

    def watermarks(self, partitions: Iterable[int] | None = None) -> dict[int, tuple[int, int]]:
        """Partition → its first offset and the one after its last; of all partitions when none is named."""
        numbers = self.partitions() if partitions is None else partitions
        deadline = time.monotonic() + self._answer_seconds
        return {number: self._watermarks(number, deadline) for number in numbers}

    def offsets_at(self, time_ms: int, partitions: Iterable[int]) -> dict[int, int]:
        """Partition → offset of its first record at or after a time; partitions without such a record are left out."""
        places = [TopicPartition(self.topic, number, time_ms) for number in partitions]
        with self._open() as consumer:
            try:
                found = consumer.offsets_for_times(places, timeout=self._answer_seconds)
            except KafkaException as error:
                raise unanswered(self._kafka, error, self._answer_seconds) from error
        for place in found:
            if place.error is not None:
                raise TopicError(f"topic {self.topic!r} must be readable, got {place.error.str()}")
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def start(self, positions: Mapping[int, int]) -> None:
        """Read these partitions, each from its offset (or EARLIEST or LATEST) on, and no others from now on.

        LATEST is the end of the partition at this call: librdkafka would look it up later, behind records that come
        meanwhile.

        Raises:
            BrokerError: the broker does not answer where an end is asked for.
        """
        self._ended = set()
        newest = self.watermarks([number for number, offset in positions.items() if offset == LATEST])
        positions = {**positions, **{number: end for number, (_, end) in newest.items()}}
        with self._open() as consumer:
            consumer.assign([TopicPartition(self.topic, number, offset) for number, offset in positions.items()])

    def poll(self, seconds: float = POLL_SECONDS) -> list[Message]:
        """The records that have come; waits at most `seconds` for the first one.

        Raises:
            OffsetGone: a position is not in the log, and `out_of_range` is `error`.
        """
        with self._open() as consumer:
            messages = consumer.consume(1, seconds)
            if messages:
                # consume() waits until it has the requested number of records, so the rest is read without waiting.
                messages += consumer.consume(BATCH_RECORDS - 1, 0)
        records = []
        for message in messages:
            if message.error() is None:
                records.append(message)
            else:
                self._check(message)
        return records

    def read_to(self, ends: Mapping[int, int], stall_seconds: float = STALL_SECONDS) -> Iterator[Message]:
        """The started partitions' records below `ends`; other partitions are passed over.

        A partition ends at its last record or where the broker says that nothing more is there: compaction or a
        transaction may have taken the last offsets.

        Raises:
            BrokerError: nothing came for `stall_seconds`.
        """
        left = dict(ends)
        came = time.monotonic()
        while left := {number: end for number, end in left.items() if number not in self._ended}:
            progressed = False
            for message in self.poll():
                number, offset = message.partition() or 0, message.offset() or 0
                end = left.get(number)
                if end is None:
                    continue
                progressed = True
                if offset + 1 >= end:
                    del left[number]
                if offset < end:
                    yield message
            if progressed:
                came = time.monotonic()  # after the batch: the time that the caller took is no stall
            elif time.monotonic() - came > stall_seconds:
                raise BrokerError(
                    f"topic {self.topic!r}, partitions {sorted(left)}, must answer within {stall_seconds:g} s, got "
                    f"nothing: is {self._kafka.bootstrap_servers} up?"
                )

    def read_all(self, stall_seconds: float = STALL_SECONDS) -> Iterator[Message]:
        """Every record that the topic holds now, partitions interleaved; the reader goes on after them."""
        marks = self.watermarks()
        self.start(dict.fromkeys(marks, EARLIEST))
        yield from self.read_to({number: end for number, (first, end) in marks.items() if end > first}, stall_seconds)
        # `read_to` passes over records that come meanwhile beyond the ends: go back to them.
        self.start({number: end for number, (_, end) in marks.items()})

    async def close_in_thread(self) -> None:
        """Close without blocking the event loop: a thread may still be reading, whose call this ends."""
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self.close))

    def close(self) -> None:
        """Close the connections; a thread that reads gets a BrokerError."""
        self._closed = True
        with self._lock:
            self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def _open(self) -> Iterator[Consumer]:
        """The consumer for one call, during which it is not closed."""
        with self._lock:
            if self._closed:
                raise BrokerError(f"topic {self.topic!r} must be open to be read, got a closed reader")
            yield self._consumer

    def _watermarks(self, partition: int, deadline: float) -> tuple[int, int]:
        while True:
            seconds = max(1.0, deadline - time.monotonic())
            with self._open() as consumer:
                try:
                    low, high = consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=seconds)
                except KafkaException as error:
                    if error.args[0].code() not in _TEMPORARY or time.monotonic() > deadline:
                        raise unanswered(self._kafka, error, seconds) from error
                else:
                    return low, high
            time.sleep(RETRY_SECONDS)

    def _check(self, message: Message) -> None:
        """Note the end of a partition, and raise for an error that waiting does not cure."""
        error, where = message.error(), f"topic {self.topic!r}, partition {message.partition()},"
        if error.code() == _END_OF_PARTITION:
            self._ended.add(message.partition())
        elif error.code() in _OUT_OF_RANGE:
            raise OffsetGone(f"{where} must hold the requested position, got {error.str()}")
        elif error.code() in _LASTING or error.fatal():
            raise TopicError(f"{where} must be readable, got {error.str()}")
        else:
            structlog.get_logger(__name__).debug("reading waits", topic=self.topic, error=error.str())


def read_topic(kafka: KafkaSettings, topic: str, timeout_seconds: float = STALL_SECONDS) -> Iterator[Message]:
    """`TopicReader.read_all` with a reader of its own."""
    with TopicReader(kafka, topic, answer_seconds=min(timeout_seconds, ANSWER_SECONDS)) as reader:
        yield from reader.read_all(timeout_seconds)
