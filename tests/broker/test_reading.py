"""Reading topics: how what Kafka refuses is told."""

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError

from broker.errors import BrokerError
from broker.settings import KafkaSettings
from broker.topic_reader import partitions_of


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), "got Broker: Unknown topic or partition: create it"),
        (None, "got no partitions: create it"),
    ],
)
def test_a_topic_that_is_not_there_is_told_in_words(error, told):
    """Not as the representation of an object."""
    found = SimpleNamespace(topics={"raw": SimpleNamespace(error=error, partitions={})})
    client = SimpleNamespace(list_topics=lambda *_, **__: found)
    with pytest.raises(BrokerError, match=told):
        partitions_of(client, KafkaSettings(), "raw", 1.0)
