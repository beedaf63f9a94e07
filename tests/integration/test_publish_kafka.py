"""Publishing on a real Kafka."""

import threading
from dataclasses import dataclass

import msgspec
import pytest

from broker.admin import ensure_topics
from broker.errors import BrokerError
from broker.registry.artifacts import load_artifact, open_store
from broker.registry.promotion import promote
from broker.registry.publish import check_publishable, publish
from broker.registry.records import Registry, read_models, write_record
from broker.settings import KafkaSettings
from detector.artifact.export import unpack
from detector.errors import StoreError
from detector.testing import tiny_files
from schemas.topics import Topics

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Target:
    """Where a test publishes."""

    kafka: KafkaSettings
    topics: Topics

    def publish(self, files: dict[str, bytes]) -> tuple[int, str]:
        """Publish a model of system `orders`."""
        return publish(self.kafka, self.topics, "kafka://", files, system="orders", labeller="heuristic", metrics={})

    def models(self) -> Registry:
        """What is published."""
        return read_models(self.kafka, self.topics)


def target(servers: str, prefix: str) -> Target:
    """A target with topics of its own."""
    made = Target(KafkaSettings(bootstrap_servers=servers), Topics(prefix))
    ensure_topics(made.kafka, made.topics, raw={})
    return made


def artifact(seed: int) -> dict[str, bytes]:
    """Files of a model that was not trained: publishing does not look at its weights."""
    return tiny_files(seed=seed, steps=0)


def test_trainers_at_once_publish_one_version_each(kafka: str) -> None:
    """Three trainers that finish together get versions 1, 2 and 3, each leading to its own artifact."""
    orders = target(kafka, "publishing")
    check_publishable(orders.kafka, orders.topics, "kafka://")
    artifacts = [artifact(seed) for seed in range(3)]  # made beforehand: seeds belong to the process
    published: dict[int, tuple[int, str]] = {}

    def run(seed: int) -> None:
        published[seed] = orders.publish(artifacts[seed])

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(version for version, _ in published.values()) == [1, 2, 3]
    known = orders.models()
    for version, sha256 in published.values():
        pointer = known.version("orders", version)
        assert pointer is not None
        assert pointer.sha256 == sha256
        files = load_artifact(open_store(pointer.store, orders.kafka, orders.topics), sha256)
        assert unpack(files, sha256).sha256 == sha256
    assert known.champion("orders") == known.version("orders", 3)


def test_an_older_version_is_promoted_by_hand_and_a_damaged_one_is_not(kafka: str) -> None:
    """Going back is one record; what cannot be loaded or is not published never becomes the champion."""
    orders = target(kafka, "promoting")
    for seed in range(2):
        orders.publish(artifact(seed))
    moved = promote(orders.kafka, orders.topics, "orders", 1)
    assert moved is not None
    assert moved.version == 1
    assert orders.models().champion("orders") == orders.models().version("orders", 1)
    assert promote(orders.kafka, orders.topics, "orders", 1) is None
    with pytest.raises(BrokerError, match=r"must be a published one \(1, 2\), got 7"):
        promote(orders.kafka, orders.topics, "orders", 7)
    second = orders.models().version("orders", 2)
    assert second is not None
    write_record(orders.kafka, orders.topics, msgspec.structs.replace(second, version=3, sha256="0" * 64, epoch=99))
    with pytest.raises(StoreError):
        promote(orders.kafka, orders.topics, "orders", 3)
    assert orders.models().champion("orders") == orders.models().version("orders", 1)
