"""Brokers that the agent's integration tests run on."""

import uuid
from collections.abc import Iterator

import pytest

from broker.embedded import embedded_broker
from testkit.kafka_bed import KafkaBed


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a real Kafka where there is one, else of the embedded broker; a test may ask for either by name."""
    wanted = getattr(request, "param", None)
    if wanted != "embedded":
        try:
            address: str = request.getfixturevalue("kafka")
        except pytest.skip.Exception:
            if wanted == "kafka":
                raise
        else:
            yield address
            return
    with embedded_broker() as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def bench(servers: str) -> KafkaBed:
    """Topics of this test."""
    return KafkaBed(servers, uuid.uuid4().hex[:12])
