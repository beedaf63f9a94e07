"""Reads records that aiokafka refuses: those with a header name that is not UTF-8. librdkafka reads them."""

import contextlib
import inspect
import operator
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Message

from agent.stages.stage import PlainRecord
from broker.settings import KafkaSettings
from broker.topic_reader import TopicReader

READ_SECONDS = 10.0
READ_BYTES = 4 * 1024 * 1024

# The client returns with a Python error set. A call that CPython has optimized does not check for it, so that it is
# raised at some later line; a call from C always checks.
_headers_of = operator.methodcaller("headers")


def read_plainly(
    kafka: KafkaSettings, topic: str, partition: int, position: int, max_records: int
) -> list[PlainRecord]:
    """Committed records from a position on: to the end of the log, `max_records`, or a few MB.

    This client cannot decode such header names either; the record comes without headers.

    Raises:
        BrokerError: a secret's file cannot be read, or the broker refuses or does not answer.
    """
    records: list[PlainRecord] = []
    size = 0
    with TopicReader(kafka, topic, out_of_range="error") as reader:
        reader.start({partition: position})
        for message in reader.read_to({partition: reader.watermarks([partition])[partition][1]}, READ_SECONDS):
            records.append(_record(message))
            size += len(message.value() or b"")
            if len(records) >= max_records or size >= READ_BYTES:
                break
    return records


def _record(message: Message) -> PlainRecord:
    offset = message.offset()
    assert offset is not None
    kind, time_ms = message.timestamp()
    headers: Sequence[tuple[str, bytes]] = ()
    with contextlib.suppress(SystemError, UnicodeDecodeError):  # raised for a name that is not UTF-8
        headers = tuple(_headers_of(message) or ())
    return PlainRecord(offset, message.value(), time_ms if kind else None, message.key(), headers)


def stuck_partitions(fetcher: Any) -> list[Any]:
    """Partitions whose records an aiokafka fetcher cannot read: it reads by a generator, which an error closes."""
    results = [(tp, getattr(result, "_partition_records", None)) for tp, result in fetcher._records.items()]  # noqa: SLF001
    iterators = [(tp, getattr(records, "_records_iterator", None)) for tp, records in results]
    return [
        tp
        for tp, iterator in iterators
        if iterator is not None and inspect.getgeneratorstate(iterator) == inspect.GEN_CLOSED
    ]
