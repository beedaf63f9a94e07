"""Replaying a range of a topic: without a consumer group, partition by partition, the same records every time.

The range is fixed when the replay is opened: records that come later are not in it, and iterating twice reads the same
records twice. A partition ends when its position passes the range's end or the broker says that nothing more is
there, so offsets removed by compaction or used by transaction markers do not block it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from broker.errors import TopicError
from broker.settings import ANSWER_SECONDS, KafkaSettings
from broker.topic_reader import TopicReader
from trainer.data.lines import Line
from trainer.errors import SourceError
from trainer.replay_range import Bound

STALL_SECONDS = 60.0


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

    def __iter__(self) -> Iterator[Line]:
        """Every record of the range, one partition after another in order of offsets.

        Raises:
            BrokerError: the broker stopped answering.
            SourceError: the broker refuses, or brings nothing for too long.
        """
        with self._reader() as reader:
            for place in self.ranges:
                if place.begin < place.end:
                    reader.start({place.partition: place.begin})
                    for message in reader.read_to({place.partition: place.end}, self._stall_seconds):
                        offset = message.offset() or 0
                        yield Line(message.value(), message.timestamp()[1], self._topic, place.partition, offset)

    @property
    def offsets(self) -> int:
        """Offsets in the range: no fewer than it has records."""
        return sum(place.end - place.begin for place in self.ranges)

    @contextmanager
    def _reader(self) -> Iterator[TopicReader]:
        try:
            with TopicReader(self._kafka, self._topic, answer_seconds=self._metadata_seconds) as reader:
                yield reader
        except TopicError as error:
            raise SourceError(str(error)) from error

    def _resolve(self, begin: Bound | None, end: Bound | None) -> tuple[PartitionRange, ...]:
        with self._reader() as reader:
            marks = reader.watermarks()
            lows = {partition: low for partition, (low, _) in marks.items()}
            highs = {partition: high for partition, (_, high) in marks.items()}
            begins = _offsets_of(reader, begin, lows, highs)
            ends = _offsets_of(reader, end, highs, highs)
        for partition, low in lows.items():
            if begins[partition] < low:
                structlog.get_logger(__name__).warning(
                    "older records are gone",
                    topic=self._topic,
                    partition=partition,
                    wanted=begins[partition],
                    first=low,
                )
        begins = {partition: max(low, begins[partition]) for partition, low in lows.items()}
        return tuple(
            PartitionRange(partition, begin, max(begin, min(highs[partition], ends[partition])))
            for partition, begin in begins.items()
        )


def _offsets_of(
    reader: TopicReader, bound: Bound | None, default: dict[int, int], highs: dict[int, int]
) -> dict[int, int]:
    """Partition → offset that a bound means; `default` where it says nothing."""
    if bound is None:
        return default
    if bound.offset is not None:
        return dict.fromkeys(default, bound.offset)
    if bound.time_ms is None:
        return default | {partition: offset for partition, offset in bound.offsets.items() if partition in default}
    # Where no record is that new, the bound is the end.
    return highs | reader.offsets_at(bound.time_ms, default)
