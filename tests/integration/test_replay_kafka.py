"""Replaying ranges of topics on a real Kafka."""

import time
import uuid
from collections.abc import Iterable

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from broker.errors import BrokerError
from broker.settings import KafkaSettings
from fusionlog.settings.load import load_settings
from testkit.kafka_io import Kafka, Row
from trainer.data.lines import Line, TargetLine
from trainer.data.replay import Replay
from trainer.data.sources import open_target
from trainer.errors import SourceError
from trainer.replay_range import parse_bound
from trainer.settings import TrainerSettings

pytestmark = pytest.mark.kafka
START_MS = 1_117_838_570_000  # 2005-06-03T22:42:50Z, kept only with retention.ms=-1


def new_topic(servers: str, partitions: int, **config: str) -> str:
    """A new topic that keeps old time stamps; its name."""
    name = f"raw-{uuid.uuid4().hex[:8]}"
    Kafka(servers).create_raw_topic(name, partitions, config)
    return name


def produce(servers: str, topic: str, rows: Iterable[tuple[int, bytes | None, bytes | None, int]]) -> None:
    """Send (partition, key, value, second) rows."""
    Kafka(servers).produce(
        topic, (Row(partition, value, START_MS + second * 1_000, key) for partition, key, value, second in rows)
    )


def replay(servers: str, topic: str, begin: str | None = None, end: str | None = None) -> Replay:
    """A replay between two bounds as settings spell them."""
    return Replay(
        KafkaSettings(bootstrap_servers=servers),
        topic,
        None if begin is None else parse_bound(begin),
        None if end is None else parse_bound(end),
        stall_seconds=20,
    )


def offsets(records: Iterable[Line]) -> list[tuple[int, int]]:
    """(partition, offset) of records."""
    return [(record.partition, record.offset) for record in records]


@pytest.fixture(scope="module")
def two_partitions(kafka: str) -> str:
    """A topic of three partitions: 30 records in the first, 10 in the second, none in the third; one a second."""
    topic = new_topic(kafka, 3)
    produce(kafka, topic, [(0, None, b"a%d" % second, second) for second in range(30)])
    produce(kafka, topic, [(1, None, b"b%d" % second, second) for second in range(10)])
    return topic


def test_everything_is_read_partition_by_partition_and_again(kafka: str, two_partitions: str) -> None:
    """In order of partition and offset, empty partitions included, the same each time."""
    whole = replay(kafka, two_partitions)
    records = list(whole)
    assert offsets(records) == [(0, offset) for offset in range(30)] + [(1, offset) for offset in range(10)]
    assert records[3].value == b"a3"
    assert records[3].timestamp == START_MS + 3_000
    assert list(whole) == records
    assert whole.offsets == 40


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        ("offset:8", "offset:12", [(0, o) for o in range(8, 12)] + [(1, o) for o in range(8, 10)]),
        ("p0=28", "p1=1", [(0, 28), (0, 29), (1, 0)]),
        ("2005-06-03T22:43:10Z", None, [(0, o) for o in range(20, 30)]),
        (None, "2005-06-03T22:42:52Z", [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("2005-06-03T22:42:55Z", "2005-06-03T22:42:57.500Z", [(p, o) for p in (0, 1) for o in (5, 6, 7)]),
        ("2030-01-01", None, []),
        (None, "2000-01-01", []),
        ("offset:20", "offset:10", []),
    ],
)
def test_a_range_is_by_time_or_offset_and_its_end_is_left_out(
    kafka: str, two_partitions: str, begin: str | None, end: str | None, expected: list[tuple[int, int]]
) -> None:
    """The first record at or after a time begins or ends it; beyond the end there is nothing to wait for."""
    assert offsets(replay(kafka, two_partitions, begin, end)) == expected


def test_records_that_come_later_are_not_in_the_range(kafka: str) -> None:
    """The end is fixed when the replay is opened."""
    topic = new_topic(kafka, 1)
    produce(kafka, topic, [(0, None, b"early", 0)])
    opened = replay(kafka, topic)
    produce(kafka, topic, [(0, None, b"late", 1)])
    assert [record.value for record in opened] == [b"early"]
    assert [record.value for record in opened] == [b"early"]


def test_transactions_leave_gaps_that_do_not_hold_it_up(kafka: str) -> None:
    """Aborted records are not read; markers at the end of the topic are no records to wait for."""
    topic = new_topic(kafka, 1)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(30)
    for value, commit in ((b"kept", True), (b"dropped", False), (b"kept too", True), (b"gone", False)):
        producer.begin_transaction()
        producer.produce(topic, value)
        (producer.commit_transaction if commit else producer.abort_transaction)(30)
    opened = replay(kafka, topic)
    records = list(opened)
    assert [record.value for record in records] == [b"kept", b"kept too"]
    assert opened.ranges[0].end > records[-1].offset + 1
    assert offsets(replay(kafka, topic, None, f"offset:{records[-1].offset}")) == [(0, records[0].offset)]


def test_compaction_leaves_gaps_that_do_not_hold_it_up(kafka: str) -> None:
    """Of a compacted topic what is left is read, tombstones included, whatever stands at the range's end."""
    topic = new_topic(
        kafka, 1, **{"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    )
    produce(kafka, topic, [(0, b"key", b"%d" % number, number) for number in range(200)])
    deadline = time.monotonic() + 60
    while len(left := list(replay(kafka, topic))) > 100 and time.monotonic() < deadline:
        time.sleep(0.5)
        produce(kafka, topic, [(0, b"key", b"more", 300)])  # a new segment makes the old one cleanable
    assert len(left) <= 100, "the broker did not compact in time"
    produce(kafka, topic, [(0, b"key", None, 400)])
    assert [record.value for record in replay(kafka, topic)][-1] is None
    assert offsets(replay(kafka, topic, None, "offset:100")) == []


def test_a_kafka_target_gives_its_lines(kafka: str, two_partitions: str) -> None:
    """The settings' topic and range become target lines with place and time."""
    flags = {
        "kafka": {"bootstrap_servers": kafka},
        "target": {"path": f"kafka://{two_partitions}", "from": "p0=29,p1=9"},
    }
    target = open_target(load_settings(TrainerSettings, None, flags, {}))
    assert list(target.lines()) == [
        TargetLine(b"a29", START_MS + 29_000, two_partitions, 0, 29),
        TargetLine(b"b9", START_MS + 9_000, two_partitions, 1, 9),
    ]
    assert target.size == 2


def test_a_topic_that_is_not_there_is_an_error_and_is_not_made(kafka: str) -> None:
    """The error names topic and servers; asking does not create it."""
    name = f"absent-{uuid.uuid4().hex[:8]}"
    with pytest.raises(SourceError, match=f"topic '{name}' must exist and be readable on {kafka}"):
        replay(kafka, name)
    assert name not in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=30).topics


def test_a_broker_that_is_not_there_is_an_error_within_the_bound() -> None:
    """The error names the setting to look at."""
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(BrokerError, match=r"kafka\.bootstrap_servers"):
        Replay(settings, "raw", metadata_seconds=1.0)
