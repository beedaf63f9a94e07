"""The sink against a real Kafka whose topics take only small batches."""

import random

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from agent.errors import OutputTooLarge
from agent.metrics import Metrics
from agent.runtime.outgoing import Outgoing
from agent.runtime.producer import Sink
from broker.settings import KafkaSettings
from broker.topic_reader import read_topic

pytestmark = pytest.mark.kafka


async def test_small_records_arrive_whole_and_a_large_one_is_an_error(kafka: str) -> None:
    """What a topic refuses as one batch it takes one by one; a record it can never take is an error."""
    settings = KafkaSettings(bootstrap_servers=kafka)
    topic = "sink-small"
    admin = AdminClient(settings.librdkafka())
    admin.create_topics([NewTopic(topic, 1, 1, config={"max.message.bytes": "20000"})])[topic].result(30)
    noise = random.Random(1)
    letters = [noise.randbytes(9_000) for _ in range(5)]  # not compressible
    failures: list[BaseException] = []
    sink = Sink(settings, Metrics(), failures.append)
    await sink.start()
    places = await sink.send([Outgoing(topic, b"k", letter, (("h", b"1"),), cuttable=True) for letter in letters])
    assert sorted(place.offset for place in places) == [0, 1, 2, 3, 4]
    with pytest.raises(OutputTooLarge, match=r"max\.message\.bytes"):
        await sink.send([Outgoing(topic, b"k", noise.randbytes(30_000))])
    assert len(failures) == 1
    await sink.stop()
    written = list(read_topic(settings, topic))
    assert sorted(message.value() for message in written) == sorted(letters)
    assert {(message.key(), tuple(message.headers())) for message in written} == {(b"k", (("h", b"1"),))}
    assert all(message.timestamp()[1] > 1_600_000_000_000 for message in written)
