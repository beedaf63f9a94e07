"""Publishing on a real Kafka."""

import threading

import msgspec
import pytest

from broker.admin import ensure_topics
from broker.errors import BrokerError
from broker.registry.blob_stores import load_artifact
from broker.registry.promotion import promote
from broker.registry.records import publish as write_version
from broker.registry.records import read_models
from broker.registry.stores import open_store
from detector.artifact.export import unpack
from detector.errors import StoreError
from detector.testing import tiny_files
from fusionlog.settings.load import load_settings
from trainer.publish import check_publishable, publish
from trainer.settings import TrainerSettings

pytestmark = pytest.mark.kafka


def artifact(seed=0):
    """Files of a model that nobody trained: publishing does not care."""
    return tiny_files(seed=seed, steps=0)


@pytest.fixture(scope="module")
def settings(kafka):
    """Settings of a run that publishes there, topics made."""
    flags = {
        "kafka": {"bootstrap_servers": kafka},
        "topic_prefix": "publishing",
        "target": {"path": "x", "spec": {"name": "orders"}},
    }
    run = load_settings(TrainerSettings, None, flags, {})
    ensure_topics(run.kafka, run.topics, raw={})
    return run


def test_trainers_at_once_publish_one_version_each(settings):
    """Three trainers that finish together get versions 1, 2 and 3, each leading to its own artifact."""
    check_publishable(settings)
    artifacts = [artifact(seed) for seed in range(3)]  # made beforehand: seeds belong to the process
    published = {}

    def run(seed):
        published[seed] = publish(settings, artifacts[seed], "heuristic", {})

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(version for version, _ in published.values()) == [1, 2, 3]
    known = read_models(settings.kafka, settings.topics)
    for version, sha256 in published.values():
        pointer = known.version("orders", version)
        assert pointer.sha256 == sha256
        files = load_artifact(open_store(pointer.store, settings.kafka, settings.topics), sha256)
        assert unpack(files, sha256).sha256 == sha256
    assert known.champion("orders").version == 3


def test_an_older_version_is_promoted_by_hand_and_a_damaged_one_is_not(kafka):
    """Going back is one record; what cannot be loaded or is not published never becomes the champion."""
    flags = {
        "kafka": {"bootstrap_servers": kafka},
        "topic_prefix": "promoting",
        "target": {"path": "x", "spec": {"name": "orders"}},
    }
    run = load_settings(TrainerSettings, None, flags, {})
    ensure_topics(run.kafka, run.topics, raw={})
    for seed in range(2):
        publish(run, artifact(seed), "heuristic", {})
    moved = promote(run.kafka, run.topics, "orders", 1)
    champion = read_models(run.kafka, run.topics).champion("orders")
    assert (moved.version, champion.version) == (1, 1)
    assert promote(run.kafka, run.topics, "orders", 1) is None
    with pytest.raises(BrokerError, match=r"must be a published one \(1, 2\), got 7"):
        promote(run.kafka, run.topics, "orders", 7)
    known = read_models(run.kafka, run.topics)
    lost = msgspec.structs.replace(known.version("orders", 2), version=3, sha256="0" * 64, epoch=99)
    write_version(run.kafka, run.topics, lost, None)
    with pytest.raises(StoreError):
        promote(run.kafka, run.topics, "orders", 3)
    assert read_models(run.kafka, run.topics).champion("orders").version == 1
