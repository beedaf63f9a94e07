"""Private parts of Faust and aiokafka that the transport uses, pinned: an upgrade that changes them fails here."""

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, TopicPartitionState
from faust.app.base import App, BootStrategy
from faust.tables.recovery import Recovery
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import ConsumerMessage

from agent.runtime.consumer_thread import BatchThread
from agent.runtime.transport import BatchConsumer, BatchSchema, BatchTransport


def parameters(function: Callable[..., Any]) -> list[str]:
    """Names of a function's parameters."""
    return list(inspect.signature(function).parameters)


def test_faust_is_the_version_that_was_read() -> None:
    """The overrides were written against this version's source."""
    assert (version("faust-streaming"), version("aiokafka")) == ("0.15.3", "0.14.0")


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [
        (AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
        (
            AIOKafkaConsumerThread,
            "_fetch_records",
            ["self", "consumer", "active_partitions", "timeout", "max_records"],
        ),
        (AIOKafkaConsumerThread, "__post_init__", ["self"]),
        (AIOKafkaConsumerThread, "_ensure_consumer", ["self"]),
        (AIOKafkaConsumerThread, "verify_event_path", ["self", "now", "tp"]),
        (Consumer, "_new_consumer_thread", ["self"]),
        (BaseConsumer, "getmany", ["self", "timeout"]),
        (BaseConsumer, "_wait_next_records", ["self", "timeout"]),
        (BaseConsumer, "perform_seek", ["self"]),
        (BaseConsumer, "wait_empty", ["self"]),
        (BaseConsumer, "commit", ["self", "topics", "start_new_transaction"]),
        (BaseConsumer, "_add_gap", ["self", "tp", "offset_from", "offset_to"]),
        (App, "_new_transport", ["self"]),
        (App, "_on_partitions_revoked", ["self", "revoked"]),
        (App, "_consumer_wait_empty", ["self", "consumer", "logger"]),
        (Recovery, "_resume_streams", ["self", "generation_id"]),
        (Conductor, "acks_enabled_for", ["self", "topic"]),
        (GroupCoordinator, "fetch_committed_offsets", ["self", "partitions"]),
        (Fetcher, "fetched_records", ["self", "partitions", "timeout", "max_records"]),
        (AIOKafkaConsumer, "commit", ["self", "offsets"]),
        (Assignment, "state_value", ["self", "tp"]),
    ],
)
def test_signatures_are_those_that_were_read(owner: type, name: str, expected: list[str]) -> None:
    """Each private method has the parameters that the overrides and calls use."""
    assert parameters(getattr(owner, name)) == expected


def test_overrides_fit_what_they_override() -> None:
    """Every method of ours takes what Faust's method of that name takes."""
    for ours, theirs in (
        (BatchThread, AIOKafkaConsumerThread),
        (BatchConsumer, Consumer),
        (BatchSchema, faust.Schema),
    ):
        shared = [name for name, value in vars(ours).items() if inspect.isfunction(value) and hasattr(theirs, name)]
        assert shared
        for name in shared:
            assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name)), name
    assert issubclass(BatchTransport, Transport)


def test_the_places_that_call_us_are_where_they_were() -> None:
    """Faust seeks once per assignment, waits before a revocation, and drops what it fetches while stopped."""
    resume = inspect.getsource(Recovery._resume_streams)
    assert resume.index("consumer.perform_seek()") < resume.index("consumer.resume_flow()")
    revoked = inspect.getsource(App._on_partitions_revoked)
    assert revoked.index("flow_control.clear") < revoked.index("self._consumer_wait_empty")
    assert "if self.conf.stream_wait_empty" in inspect.getsource(App._consumer_wait_empty)
    assert "if not self.consumer.flow_active:" in inspect.getsource(AIOKafkaConsumerThread._fetch_records)
    assert "_should_enable_kafka_producer" in inspect.getsource(BootStrategy.kafka_producer)


def test_a_record_that_aiokafka_cannot_read_closes_a_generator() -> None:
    """That shows at which partition it is stuck; records of other partitions in the same call are dropped."""
    assert inspect.isgeneratorfunction(PartitionRecords._unpack_records)
    assert "self._records_iterator = self._unpack_records()" in inspect.getsource(PartitionRecords.__init__)
    assert "self._partition_records = partition_records" in inspect.getsource(FetchResult.__init__)
    assert "del self._records[tp]" in inspect.getsource(Fetcher.seek_to)


def test_the_message_carries_what_it_is_built_with() -> None:
    """Faust's message takes thirteen positional fields in this order."""
    assert parameters(ConsumerMessage.__init__)[1:13] == [
        "topic", "partition", "offset", "timestamp", "timestamp_type", "headers", "key", "value", "checksum",
        "serialized_key_size", "serialized_value_size", "tp",
    ]  # fmt: skip
    for name in ("position", "has_valid_position"):
        assert isinstance(getattr(TopicPartitionState, name), property)
