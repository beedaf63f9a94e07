"""The demo's own use of Kafka, on the embedded broker."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from broker.admin import ensure_topics
from broker.embedded import embedded_broker
from broker.settings import KafkaSettings
from fusionlog.demo.generator import PARTITIONS, GeneratedLine
from fusionlog.demo.observer import Observer
from fusionlog.demo.topics import Follower, send
from fusionlog.errors import DemoError
from schemas.alert import Alert, ModelReference
from schemas.closed_window import ClosedWindow
from schemas.codec import encode
from schemas.dead_letter import DeadLetter
from schemas.late_line import LateLine
from schemas.topics import Topics
from testkit.errors import TestkitError
from testkit.kafka_io import Kafka
from testkit.lines import Place

LINES = [GeneratedLine(f"line {number}", number, number % PARTITIONS, "") for number in range(1_100)]


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """Settings of a broker that lives as long as this file's tests."""
    with embedded_broker() as broker:
        yield KafkaSettings(bootstrap_servers=broker.bootstrap_servers)


@pytest.fixture
def topics(kafka: KafkaSettings, request: pytest.FixtureRequest) -> Topics:
    """Topics of a test's own."""
    topics = Topics(request.node.name[:60])
    ensure_topics(kafka, topics, raw={})
    return topics


def window(offsets: Sequence[int], anomalous: bool = False, id: str = "w1") -> ClosedWindow:  # noqa: A002
    """A closed window of partition 0."""
    return ClosedWindow(
        id=id, system="media", kind="session", key="mj-1", topic="raw", partition=0, offsets=tuple(offsets),
        event_hash="h", start_ms=0, end_ms=1, closed_by="watermark", score=0.9, threshold=0.5, anomalous=anomalous,
        model=ModelReference(name="media", version=1, sha256="c" * 64),
    )  # fmt: skip


def put(kafka: KafkaSettings, topic: str, *values: bytes, headers: list[tuple[str, bytes]] | None = None) -> None:
    """Write records."""
    producer = Producer(kafka.librdkafka())
    for value in values:
        producer.produce(topic, value, headers=headers)
    assert producer.flush(10) == 0


def observer(kafka: KafkaSettings, topics: Topics, shown: list[Alert]) -> Observer:
    """An observer of the test's topics that notes the alerts it is to show."""
    owned = (topics.alerts, topics.windows, topics.late, topics.dlq)
    return Observer(topics, Follower(kafka, owned), shown.append)


def look(watching: Observer, wanted: Callable[[], object]) -> None:
    """Poll until the condition holds."""
    for _ in range(200):
        watching.poll()
        if wanted():
            return
    pytest.fail("nothing came")


def test_lines_reach_their_partitions_in_order(kafka: KafkaSettings) -> None:
    """Every line is kept, each partition in the order of sending, and the caller gets its turn in between."""
    turns: list[int] = []
    send(Kafka(kafka), "sent", LINES, lambda: turns.append(1))
    assert Kafka(kafka).ends("sent") == dict(Counter(line.partition for line in LINES))
    assert len(turns) == 2
    with Follower(kafka, ["sent"]) as follower:
        got: list[Message] = []
        while len(got) < len(LINES):
            got += follower.take()
    for partition in range(PARTITIONS):
        own = [message for message in got if message.partition() == partition]
        expected = [line.text.encode() for line in LINES if line.partition == partition]
        assert [message.value() for message in sorted(own, key=lambda message: message.offset() or 0)] == expected


def test_a_line_for_a_partition_that_is_not_there_is_an_error(kafka: KafkaSettings) -> None:
    """A line that cannot be delivered is never skipped."""
    with pytest.raises(TestkitError, match="every record must reach topic refused"):
        send(Kafka(kafka), "refused", [GeneratedLine("x", 0, 999, "")], lambda: None)


def test_committed_positions_are_read_without_moving_them(kafka: KafkaSettings) -> None:
    """A group's positions come back as they were committed, -1 where there are none."""
    send(Kafka(kafka), "positions", LINES[:8], lambda: None)
    consumer = Consumer(kafka.librdkafka() | {"group.id": "g"})
    consumer.commit(offsets=[TopicPartition("positions", 1, 2)], asynchronous=False)
    consumer.close()
    assert Kafka(kafka).committed("g", "positions") == {0: (-1, ""), 1: (2, ""), 2: (-1, ""), 3: (-1, "")}


def test_the_observer_lists_the_lines_that_are_accounted_for(kafka: KafkaSettings, topics: Topics) -> None:
    """A line counts when it is in a closed window, late, or a dead letter; it is complete when all do."""
    watching = observer(kafka, topics, [])
    late = LateLine(
        system="media", key="k", topic="raw", partition=0, offset=2, event_time_ms=0, watermark_ms=1, template_id="t",
        text="x",
    )  # fmt: skip
    dead = DeadLetter("empty", "no line", "raw", 0, 3, 0, "0.1")
    put(kafka, topics.windows, encode(window([0, 1])))
    put(kafka, topics.late, encode(late))
    put(kafka, topics.dlq, b"", headers=dead.headers())
    look(watching, lambda: len(watching.accounted()) == 4)
    assert watching.complete({Place(0, 0), Place(0, 1), Place(0, 2), Place(0, 3)})
    assert not watching.complete({Place(0, 4)})


def test_the_observer_waits_for_the_alert_of_an_anomalous_window(
    kafka: KafkaSettings, topics: Topics, an_alert: Alert
) -> None:
    """An anomalous window without its alert is not complete; an alert that comes twice is shown once."""
    shown: list[Alert] = []
    watching = observer(kafka, topics, shown)
    put(kafka, topics.windows, encode(window([0], anomalous=True, id=an_alert.id)))
    look(watching, lambda: watching.windows)
    assert not watching.complete({Place(0, 0)})
    put(kafka, topics.alerts, encode(an_alert), encode(an_alert))
    look(watching, lambda: watching.alerts)
    assert watching.complete({Place(0, 0)})
    assert [alert.id for alert in shown] == [an_alert.id]


def test_scored_windows_carry_their_lines(kafka: KafkaSettings, topics: Topics) -> None:
    """A scored window has its own lines, and whether one of them is new."""
    watching = observer(kafka, topics, [])
    put(kafka, topics.windows, encode(window([0, 2])))
    look(watching, lambda: watching.windows)
    lines = {Place(0, offset): GeneratedLine(f"l{offset}", 0, 0, "mj-1") for offset in range(3)}
    (scored,) = watching.scored_windows(lines, lambda line: line.text == "l2")
    assert (scored.key, scored.alerted, scored.lines, scored.new_template) == ("mj-1", False, ("l0", "l2"), True)


def test_a_line_in_two_windows_is_an_error(kafka: KafkaSettings, topics: Topics) -> None:
    """A line that was counted twice fails the demo."""
    watching = observer(kafka, topics, [])
    put(kafka, topics.windows, encode(window([0, 1])), encode(window([1, 2], id="w2")))
    look(watching, lambda: len(watching.windows) == 2)
    with pytest.raises(DemoError, match="every line must be in one window, got 1 in two"):
        watching.scored_windows({}, lambda _: False)
