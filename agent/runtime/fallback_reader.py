"""Going on where aiokafka cannot: it refuses a record with a header name that is not UTF-8, librdkafka reads it."""

import contextlib
import inspect
import operator
import time
import uuid
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from agent.stages.stage import PlainRecord
from broker.settings import KafkaSettings

READ_SECONDS = 10.0
POLL_SECONDS = 0.5
READ_BYTES = 4 * 1024 * 1024

# The client returns with an error set. An ordinary call that CPython has optimized looks for none and lets it surface
# anywhere later; a call from C always looks.
_headers_of = operator.methodcaller("headers")


def read_plainly(
    kafka: KafkaSettings, topic: str, partition: int, position: int, max_records: int
) -> list[PlainRecord]:
    """Committed records from a position on: to the end of the log, `max_records`, or a few MB; none on a slow broker.

    This client does not give header names that are not UTF-8 either; such a record comes without headers.

    Raises:
        BrokerError: a secret's file cannot be read.
        KafkaException: the broker refuses or does not answer.
    """
    consumer = Consumer(
        kafka.librdkafka()
        | {
            # assign() needs no group, but librdkafka asks for a name; nothing is ever committed under it.
            "group.id": f"{kafka.client_id}-reader-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, position)])
        return _records(consumer, max_records)
    finally:
        consumer.close()


def _records(consumer: Consumer, max_records: int) -> list[PlainRecord]:
    records: list[PlainRecord] = []
    size = 0
    deadline = time.monotonic() + READ_SECONDS
    while len(records) < max_records and size < READ_BYTES and time.monotonic() < deadline:
        message = consumer.poll(POLL_SECONDS)
        if message is None:
            continue
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            break
        if error is not None:
            raise KafkaException(error)
        records.append(_record(message))
        size += len(message.value() or b"")
    return records


def _record(message: Message) -> PlainRecord:
    offset = message.offset()
    assert offset is not None
    kind, time_ms = message.timestamp()
    headers: Sequence[tuple[str, bytes]] = ()
    with contextlib.suppress(SystemError, UnicodeDecodeError):  # what the client says of a name that is not UTF-8
        headers = tuple(_headers_of(message) or ())
    return PlainRecord(offset, message.value(), time_ms if kind else None, message.key(), headers)


def stuck_partitions(fetcher: Any) -> list[Any]:
    """Partitions at whose records an aiokafka fetcher has given up: it reads by a generator, which an error closes."""
    results = [(tp, getattr(result, "_partition_records", None)) for tp, result in fetcher._records.items()]  # noqa: SLF001
    iterators = [(tp, getattr(records, "_records_iterator", None)) for tp, records in results]
    return [
        tp
        for tp, iterator in iterators
        if iterator is not None and inspect.getgeneratorstate(iterator) == inspect.GEN_CLOSED
    ]
