"""The lease on publishing, on the embedded broker."""

from collections.abc import Iterator
from itertools import count

import pytest

from broker.admin import ensure_topics
from broker.embedded import embedded_broker
from broker.errors import BrokerError
from broker.registry import lease as lease_module
from broker.registry.lease import Lease
from broker.registry.records import read_models
from broker.settings import KafkaSettings
from schemas.topics import Topics

pytestmark = pytest.mark.usefixtures("plain_producers")


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """Settings of an embedded broker that has our topics."""
    with embedded_broker() as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        ensure_topics(settings, Topics(), raw={})
        yield settings


def lease(kafka: KafkaSettings, system: str, wait_seconds: float = 0.0, **settings: float) -> Lease:
    """A lease that does not wait."""
    return Lease(kafka, Topics(), system, wait_seconds, **settings)


def test_one_of_two_gets_it(kafka: KafkaSettings) -> None:
    """While one trainer holds the lease, another of the same system is refused with its name."""
    with lease(kafka, "orders") as first:
        with pytest.raises(BrokerError, match=r"another trainer .* is publishing"):
            lease(kafka, "orders").__enter__()
        first.check()


def test_it_is_free_again_after_the_holder(kafka: KafkaSettings) -> None:
    """Leaving gives it back, also after an error inside."""
    with pytest.raises(RuntimeError), lease(kafka, "payments"):
        raise RuntimeError
    with lease(kafka, "payments") as second:
        second.check()


def test_other_systems_are_not_held_up(kafka: KafkaSettings) -> None:
    """A lease is for one system."""
    with lease(kafka, "first"), lease(kafka, "second") as second:
        second.check()


def test_a_holder_that_died_is_passed_over(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that nobody withdrew stops counting when it runs out, and its holder may write no more."""
    clock = count(1_000_000, 400)
    monkeypatch.setattr(lease_module, "_now_ms", lambda: next(clock))
    monkeypatch.setattr(lease_module, "RETRY_SECONDS", 0.0)
    dead = lease(kafka, "crashed", lease_seconds=5.0)
    dead.__enter__()
    with lease(kafka, "crashed", wait_seconds=60.0) as second:
        second.check()
        with pytest.raises(BrokerError, match="must end within 5 s"):
            dead.check()


def test_claims_do_not_disturb_readers_of_the_registry(kafka: KafkaSettings) -> None:
    """The registry reads over claims."""
    with lease(kafka, "quiet"):
        assert read_models(kafka, Topics()).pointers == {}
