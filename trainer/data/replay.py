"""Replaying a range of a topic: without a consumer group, partition by partition, the same records every time.

The range is fixed when the replay is opened: records that come later are not in it, and iterating twice reads the same
records twice. A partition ends when its position passes the range's end or the broker says that nothing more is
there, so offsets eaten by compaction or transaction markers do not hold it up.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.connection_check import unanswered
from broker.settings import ANSWER_SECONDS, KafkaSettings
from broker.topic_reader import watermarks
from trainer.errors import SourceError
from trainer.replay_range import Bound

STALL_SECONDS = 60.0
BATCH_RECORDS = 2_000
_POLL_SECONDS = 0.25
# Errors that waiting does not heal; librdkafka retries all others by itself.
_FATAL = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 (its public name)
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._FATAL,  # noqa: SLF001
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_END_OF_PARTITION = KafkaError._PARTITION_EOF  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a raw topic; `value` is None for a tombstone, `timestamp_ms` -1 where there is no time stamp."""

    value: bytes | None
    timestamp_ms: int
    partition: int
    offset: int


@dataclass(frozen=True)
class PartitionRange:
    """Offsets from `begin` up to but not including `end`; equal where there are none."""

    partition: int
    begin: int
    end: int


class Replay:
    """A fixed range of a topic, iterable any number of times.

    Args:
        kafka: the cluster.
        topic: the topic.
        begin: where to begin; None for the oldest record.
        end: where to end, itself left out; None for the newest record now.
        metadata_seconds: bound of each question about the topic.
        stall_seconds: how long a read may bring nothing before it is given up.

    Raises:
        BrokerError: the broker does not answer.
        SourceError: the topic is not there, or it may not be read.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        begin: Bound | None = None,
        end: Bound | None = None,
        metadata_seconds: float = ANSWER_SECONDS,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._metadata_seconds = metadata_seconds
        self._stall_seconds = stall_seconds
        self.ranges: tuple[PartitionRange, ...] = self._resolve(begin, end)

    def __iter__(self) -> Iterator[Record]:
        """Every record of the range, one partition after another in order of offsets.

        Raises:
            BrokerError: the broker stopped answering.
            SourceError: the broker refuses, or brings nothing for too long.
        """
        consumer = self._consumer()
        try:
            for place in self.ranges:
                if place.begin < place.end:
                    yield from self._read(consumer, place)
        except KafkaException as error:
            raise unanswered(self._kafka, error, self._metadata_seconds) from error
        finally:
            consumer.close()

    @property
    def offsets(self) -> int:
        """Offsets in the range: no fewer than it has records."""
        return sum(place.end - place.begin for place in self.ranges)

    def _consumer(self) -> Consumer:
        return Consumer(
            self._kafka.librdkafka()
            | {
                # assign() joins no group, but librdkafka asks for a name; nothing is committed under it.
                "group.id": f"{self._kafka.client_id}-replay",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "allow.auto.create.topics": False,
                # The default of a second between fetches costs four fifths of the speed.
                "fetch.queue.backoff.ms": 2,
            }
        )

    def _resolve(self, begin: Bound | None, end: Bound | None) -> tuple[PartitionRange, ...]:
        consumer = self._consumer()
        try:
            partitions = self._partitions(consumer)
            deadline = time.monotonic() + self._metadata_seconds
            marks = {partition: watermarks(consumer, self._topic, partition, deadline) for partition in partitions}
            lows = {partition: low for partition, (low, _) in marks.items()}
            highs = {partition: high for partition, (_, high) in marks.items()}
            begins = self._offsets_of(consumer, begin, lows, highs)
            ends = self._offsets_of(consumer, end, highs, highs)
        except KafkaException as error:
            raise unanswered(self._kafka, error, self._metadata_seconds) from error
        finally:
            consumer.close()
        ranges = []
        for partition in partitions:
            if begins[partition] < lows[partition]:
                structlog.get_logger(__name__).warning(
                    "older records are gone",
                    topic=self._topic,
                    partition=partition,
                    wanted=begins[partition],
                    first=lows[partition],
                )
            ranges.append(
                _range(partition, max(lows[partition], begins[partition]), min(highs[partition], ends[partition]))
            )
        return tuple(ranges)

    def _partitions(self, consumer: Consumer) -> Sequence[int]:
        found = consumer.list_topics(self._topic, timeout=self._metadata_seconds).topics.get(self._topic)
        if found is None or found.error is not None or not found.partitions:
            reason = "no such topic" if found is None or found.error is None else found.error.str()
            raise SourceError(
                f"topic {self._topic!r} must exist and be readable on {self._kafka.bootstrap_servers}, got: {reason}"
            )
        return sorted(found.partitions)

    def _offsets_of(
        self, consumer: Consumer, bound: Bound | None, default: dict[int, int], highs: dict[int, int]
    ) -> dict[int, int]:
        """Partition → offset that a bound means; `default` where it says nothing."""
        if bound is None:
            return default
        if bound.offset is not None:
            return dict.fromkeys(default, bound.offset)
        if bound.time_ms is None:
            return default | {partition: offset for partition, offset in bound.offsets.items() if partition in default}
        places = [TopicPartition(self._topic, partition, bound.time_ms) for partition in default]
        offsets = dict(highs)
        for place in consumer.offsets_for_times(places, timeout=self._metadata_seconds):
            if place.error is not None:
                raise KafkaException(place.error)
            if place.offset >= 0:  # else no record is that new, and the bound is the end
                offsets[place.partition] = place.offset
        return offsets

    def _read(self, consumer: Consumer, place: PartitionRange) -> Iterator[Record]:
        consumer.assign([TopicPartition(self._topic, place.partition, place.begin)])
        heard = time.monotonic()
        left = place.end - place.begin
        while True:
            # consume() waits for as many as it is asked for, so the last batch asks for no more than is left.
            for message in consumer.consume(min(BATCH_RECORDS, left), _POLL_SECONDS):
                if message.error() is not None:
                    if self._is_end(message, place):
                        return
                    continue
                if message.partition() != place.partition:
                    continue  # fetched for the partition before
                offset = message.offset()
                if offset < place.end:
                    yield Record(message.value(), message.timestamp()[1], place.partition, offset)
                left = place.end - offset - 1
                if left <= 0:
                    return
                heard = time.monotonic()
            self._check_stall(heard, place)

    def _is_end(self, message: Any, place: PartitionRange) -> bool:
        error = message.error()
        if error.code() == _END_OF_PARTITION:
            return bool(message.partition() == place.partition)
        if error.code() in _FATAL or error.fatal():
            raise SourceError(
                f"topic {self._topic!r}, partition {place.partition}, must be readable, got {error.str()}"
            )
        structlog.get_logger(__name__).debug("replay waits", topic=self._topic, error=error.str())
        return False

    def _check_stall(self, heard: float, place: PartitionRange) -> None:
        if time.monotonic() - heard > self._stall_seconds:
            raise SourceError(
                f"topic {self._topic!r}, partition {place.partition}, must answer within {self._stall_seconds:g} s, "
                f"got nothing: is {self._kafka.bootstrap_servers} up?"
            )


def _range(partition: int, begin: int, end: int) -> PartitionRange:
    return PartitionRange(partition, begin, max(begin, end))
