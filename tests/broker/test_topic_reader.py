"""Reading topics without a group, on the embedded broker."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, Producer

from broker import connection_check
from broker.embedded import embedded_broker
from broker.errors import BrokerError, OffsetGone, TopicError
from broker.settings import KafkaSettings
from broker.topic_reader import EARLIEST, LATEST, TopicReader

EMPTY_PARTITION = 3


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """An embedded broker with 50 records in each partition but the last of topic `raw`."""
    with embedded_broker() as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        produce(settings, "raw", [(number % 3, b"%d" % (number // 3)) for number in range(150)])
        yield settings


def produce(kafka: KafkaSettings, topic: str, records: list[tuple[int, bytes]]) -> None:
    """Write (partition, value) records, with the offset as the time stamp where the value is one."""
    producer = Producer(kafka.librdkafka())
    producer.list_topics(topic, timeout=10)
    for partition, value in records:
        producer.produce(topic, value, partition=partition, timestamp=1_000 + int(value))
    assert producer.flush(10) == 0


def test_a_range_is_read_whole_and_no_further(kafka: KafkaSettings) -> None:
    """Each partition from its own start up to its own end, in order of offsets, without waiting for more."""
    with TopicReader(kafka, "raw") as reader:
        reader.start({0: 10, 1: EARLIEST})
        read = [(message.partition(), message.offset()) for message in reader.read_to({0: 12, 1: 3})]
    assert sorted(read) == [(0, 10), (0, 11), (1, 0), (1, 1), (1, 2)]


def test_a_partition_ends_where_nothing_more_is_there(kafka: KafkaSettings) -> None:
    """An end beyond the log, as compaction leaves it, is not waited for."""
    with TopicReader(kafka, "raw") as reader:
        reader.start({0: 48, EMPTY_PARTITION: EARLIEST})
        assert [message.offset() for message in reader.read_to({0: 60, EMPTY_PARTITION: 5})] == [48, 49]


def test_following_brings_what_comes_later(kafka: KafkaSettings) -> None:
    """From LATEST on nothing old comes, and each new record once."""
    produce(kafka, "followed", [(0, b"1")])
    with TopicReader(kafka, "followed") as reader:
        reader.start({0: LATEST})
        produce(kafka, "followed", [(0, b"2"), (0, b"3")])  # before anything was read
        came: list[bytes | None] = []
        while len(came) < 2:
            came += [message.value() for message in reader.poll()]
        assert came == [b"2", b"3"]
        assert reader.poll(0.1) == []


def test_questions_about_the_topic(kafka: KafkaSettings) -> None:
    """Partitions, watermarks and offsets by time; a time beyond the last record has no offset."""
    with TopicReader(kafka, "raw") as reader:
        assert reader.partitions() == [0, 1, 2, 3]
        assert reader.watermarks() == {0: (0, 50), 1: (0, 50), 2: (0, 50), EMPTY_PARTITION: (0, 0)}
        assert reader.watermarks([1]) == {1: (0, 50)}


def test_a_broker_that_is_gone_does_not_answer() -> None:
    """Asked in time, a broker answers while it is there."""
    with embedded_broker() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        reader = TopicReader(kafka, "raw")
        assert reader.answers(10)
    with reader:
        assert not reader.answers(0.5)


def test_a_position_that_the_log_lacks_is_an_error_or_the_beginning(kafka: KafkaSettings) -> None:
    """By the argument `out_of_range`; the error names the partition."""
    with TopicReader(kafka, "raw", out_of_range="error") as strict:
        strict.start({0: 1_000})
        with pytest.raises(OffsetGone, match="'raw', partition 0, must hold the requested position"):
            list(strict.read_to({0: 1_001}, 10))
    with TopicReader(kafka, "raw") as lenient:
        lenient.start({0: 1_000})
        assert next(lenient.read_to({0: 50})).offset() == 0


def test_a_read_that_brings_nothing_ends_with_an_error(kafka: KafkaSettings) -> None:
    """A partition that was not started brings nothing: that is not waited for without end."""
    with TopicReader(kafka, "raw") as reader, pytest.raises(BrokerError, match="must answer within"):
        list(reader.read_to({0: 50}, stall_seconds=0.1))


def test_closing_ends_a_read_in_another_thread(kafka: KafkaSettings) -> None:
    """The reading thread gets an error, and the client is not closed while it is in use."""
    reader = TopicReader(kafka, "raw")
    reader.start({EMPTY_PARTITION: LATEST})
    errors: list[BrokerError] = []

    def read() -> None:
        try:
            while True:
                reader.poll(0.05)
        except BrokerError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    reader.close()
    thread.join(10)
    assert not thread.is_alive()
    assert "closed reader" in str(errors[0])


def test_a_broker_that_is_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the setting to look at."""
    monkeypatch.setattr(connection_check, "LISTEN_SECONDS", 0.3)
    with (
        TopicReader(KafkaSettings(bootstrap_servers="127.0.0.1:1"), "raw", answer_seconds=0.5) as reader,
        pytest.raises(BrokerError, match=r"kafka\.bootstrap_servers"),
    ):
        reader.partitions()


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), "got Broker: Unknown topic or partition: create it"),
        (None, "got no partitions: create it"),
    ],
)
def test_a_topic_that_is_absent_is_named_in_words(
    monkeypatch: pytest.MonkeyPatch, error: KafkaError | None, problem: str
) -> None:
    """Not as the representation of an object."""
    with TopicReader(KafkaSettings(bootstrap_servers="127.0.0.1:1"), "raw") as reader:
        found = SimpleNamespace(topics={"raw": SimpleNamespace(error=error, partitions={})})
        client = SimpleNamespace(list_topics=lambda *_, **__: found, close=lambda: None)
        monkeypatch.setattr(reader, "_consumer", client)
        with pytest.raises(TopicError, match=problem):
            reader.partitions()


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, TopicError),
        (KafkaError.OFFSET_OUT_OF_RANGE, OffsetGone),
        (KafkaError.NOT_LEADER_FOR_PARTITION, None),
    ],
)
def test_lasting_errors_are_raised_and_passing_ones_waited_for(
    monkeypatch: pytest.MonkeyPatch, code: int, raised: type[BrokerError] | None
) -> None:
    """Librdkafka retries what can pass by itself; the rest ends the read at once."""
    message = SimpleNamespace(error=lambda: KafkaError(code), partition=lambda: 0)
    with TopicReader(KafkaSettings(bootstrap_servers="127.0.0.1:1"), "raw") as reader:
        monkeypatch.setattr(reader, "_consumer", SimpleNamespace(consume=lambda *_: [message], close=lambda: None))
        if raised is None:
            assert reader.poll() == []
        else:
            with pytest.raises(raised, match="'raw', partition 0"):
                reader.poll()


def test_after_reading_all_nothing_is_passed_over(kafka: KafkaSettings) -> None:
    """Records that come while the topic is read, also in a partition that was empty, are polled afterwards."""
    produce(kafka, "grows", [(0, b"1")])
    with TopicReader(kafka, "grows") as reader:
        reading = reader.read_all()
        first = next(reading)
        produce(kafka, "grows", [(0, b"2"), (1, b"3")])
        reader.poll(1.0)  # fetches them, as `read_to` may while it waits for other partitions
        read = [first.value(), *(message.value() for message in reading)]
        deadline = time.monotonic() + 30
        while len(read) < 3 and time.monotonic() < deadline:
            read += [message.value() for message in reader.poll()]
    assert sorted(value or b"" for value in read) == [b"1", b"2", b"3"]
