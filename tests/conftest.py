"""Fixtures that every package's tests may use."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from confluent_kafka import Producer
from hypothesis import settings

from testkit.errors import KafkaUnavailable
from testkit.local_kafka import LocalKafka

# CI tries the same examples each time, so that a change is judged by what it changes; elsewhere they are new each time.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that sets logging up leaves it bound to its own test's standard error: undone after each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def plain_producers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes without idempotence: librdkafka mostly waits half a second for the producer's number."""
    plain = {"enable.idempotence": False}
    monkeypatch.setattr("broker.producer.Producer", lambda settings: Producer(settings | plain))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real labelled logs; its absence skips loudly, and is a failure under CI=true."""
    if not SHARED_DATA.is_dir():
        message = f"real logs are not at {SHARED_DATA}: tests on real data are left out"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED_DATA


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap servers of one real Apache Kafka for all tests; without it they skip loudly, and fail under CI=true."""
    broker = LocalKafka()
    try:
        broker.start()
    except KafkaUnavailable as error:
        broker.stop()
        message = f"tests on a real Kafka are left out: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    try:
        yield broker.bootstrap_servers
    finally:
        broker.stop()
