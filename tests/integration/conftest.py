"""Brokers that the agent's integration tests run on."""

import uuid
from collections.abc import Iterator

import pytest

from broker.embedded import EmbeddedBroker
from tests.integration.agent_harness import Bench


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def servers(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of the embedded broker, and of a real Kafka."""
    if request.param == "kafka":
        yield request.getfixturevalue("kafka")
        return
    with EmbeddedBroker() as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def bench(servers: str) -> Bench:
    """Topics of this test."""
    return Bench(servers, uuid.uuid4().hex[:12])
