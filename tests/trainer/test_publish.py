"""Publishing on the embedded broker."""

import pytest

from broker.admin import ensure_topics
from broker.embedded import EmbeddedBroker
from broker.errors import BrokerError
from broker.registry import records as registry
from broker.registry.blob_stores import load_artifact
from broker.registry.records import read_models
from broker.registry.stores import open_store
from broker.settings import KafkaSettings
from detector.artifact.export import unpack
from detector.testing import tiny_files
from fusionlog.settings.load import load_settings
from schemas.chunks import sha256_of
from schemas.topics import Topics
from trainer import publish as publishing
from trainer.errors import PublishError
from trainer.publish import check_publishable, publish
from trainer.settings import TrainerSettings


def artifact(seed=0):
    """Files of a model that nobody trained: publishing does not care."""
    return tiny_files(seed=seed, steps=0)


METRICS = {"agreement": 0.9}


@pytest.fixture(scope="module")
def servers():
    """Address of an embedded broker that has our topics."""
    with EmbeddedBroker() as broker:
        ensure_topics(KafkaSettings(bootstrap_servers=broker.bootstrap_servers), Topics(), raw={})
        yield broker.bootstrap_servers


def settings(servers, system, **values):
    """Settings of a run that publishes there."""
    flags = {"kafka": {"bootstrap_servers": servers}, "target": {"path": "x", "spec": {"name": system}}} | values
    return load_settings(TrainerSettings, None, flags, {})


def models(servers):
    """What is published."""
    return read_models(KafkaSettings(bootstrap_servers=servers), Topics())


@pytest.mark.parametrize("in_folder", [False, True])
def test_a_published_model_serves_and_can_be_loaded(servers, tmp_path, in_folder):
    """The champion's pointer leads to the very model, on Kafka or in a folder, and holds its metrics."""
    store = str(tmp_path) if in_folder else "kafka://"
    run = settings(servers, f"orders-{in_folder}".lower(), store=store)
    assert publish(run, artifact(), "heuristic", METRICS)[0] == 1
    pointer = models(servers).champion(run.target.spec.name)
    files = load_artifact(open_store(pointer.store, run.kafka, run.topics), pointer.sha256)
    assert unpack(files, pointer.sha256).sha256 == pointer.sha256
    assert pointer.size_bytes == sum(map(len, files.values()))
    assert (pointer.labeller, pointer.metrics) == ("heuristic", METRICS)


def test_versions_count_up_and_the_newest_serves(servers, tmp_path):
    """Each publication is the next version, with a higher epoch."""
    run = settings(servers, "counting", store=str(tmp_path))
    assert [publish(run, artifact(seed), "heuristic", METRICS)[0] for seed in (0, 1)] == [1, 2]
    known = models(servers)
    assert known.champion("counting").version == 2
    first, second = known.versions("counting")
    assert first.epoch < second.epoch


def test_a_model_that_is_not_promoted_is_the_challenger(servers, tmp_path):
    """What serves goes on serving."""
    publish(settings(servers, "careful", store=str(tmp_path)), artifact(), "heuristic", METRICS)
    publish(settings(servers, "careful", store=str(tmp_path), promote=False), artifact(1), "heuristic", METRICS)
    known = models(servers)
    assert known.champion("careful").version == 1
    assert known.champion("careful", "challenger").version == 2


class Interrupting:
    """Stands in for a function and stops the run before or after the call of that number."""

    def __init__(self, function, call, after):
        self.function, self.left, self.after = function, call, after

    def __call__(self, *arguments):
        """Calls the function, unless it is time to stop."""
        self.left -= 1
        if self.left == 0 and not self.after:
            raise KeyboardInterrupt
        result = self.function(*arguments)
        if self.left == 0:
            raise KeyboardInterrupt
        return result


@pytest.mark.parametrize(
    ("module", "name", "call", "after"),
    [
        (publishing, "_put_and_read_back", 1, False),
        (publishing, "_put_and_read_back", 1, True),
        (registry, "publish", 1, True),
        (registry, "publish", 2, True),
    ],
)
def test_an_interrupted_publication_names_nothing_that_is_missing(
    servers, tmp_path, monkeypatch, module, name, call, after
):
    """Ctrl-C between any two steps: every pointer and alias leads to a whole artifact, and the next run succeeds."""
    system = f"stopped-{name.strip('_').replace('_', '-')}-{call}-{after}".lower()
    run = settings(servers, system, store=str(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(module, name, Interrupting(getattr(module, name), call, after))
        with pytest.raises(KeyboardInterrupt):
            publish(run, artifact(), "heuristic", METRICS)
    known = models(servers)
    for pointer in known.versions(system):
        files = load_artifact(open_store(pointer.store, run.kafka, run.topics), pointer.sha256)
        assert unpack(files, pointer.sha256).sha256 == pointer.sha256
    assert len(known.versions(system)) == (name == "publish")
    assert (known.champion(system) is not None) == (call == 2)
    version, sha256 = publish(run, artifact(1), "heuristic", METRICS)
    assert models(servers).champion(system).sha256 == sha256
    assert version == len(known.versions(system)) + 1


def test_two_trainers_do_not_publish_at_once(servers, monkeypatch):
    """While one holds the lease, the other is told so and publishes nothing."""
    run = settings(servers, "contested")
    lease = publishing.Lease
    monkeypatch.setattr(publishing, "Lease", lambda *place: lease(*place, wait_seconds=0))
    with (
        lease(run.kafka, run.topics, "contested"),
        pytest.raises(PublishError, match=r"another trainer .* is publishing"),
    ):
        publish(run, artifact(), "heuristic", METRICS)
    assert models(servers).versions("contested") == []
    assert publish(run, artifact(), "heuristic", METRICS)[0] == 1


def test_a_store_that_loses_bytes_gets_no_pointer(servers, monkeypatch):
    """What does not come back from the store as it was is never named."""
    run = settings(servers, "lossy")

    class Lossy:
        url = "test://lossy"

        def put(self, blob):
            return sha256_of(blob)

        def get(self, *_):
            return b"{}"

    monkeypatch.setattr(publishing, "open_store", lambda *_: Lossy())
    with pytest.raises(PublishError, match="trained but not published"):
        publish(run, artifact(), "heuristic", METRICS)
    assert models(servers).versions("lossy") == []


def test_a_missing_broker_is_found_before_the_work(servers, monkeypatch):
    """The line says how to train without publishing."""

    def refuse(*_):
        raise BrokerError("Kafka must answer within 30 s, got silence")

    monkeypatch.setattr(registry, "read_models", refuse)
    with pytest.raises(PublishError, match="--no-publish --out FOLDER"):
        check_publishable(settings(servers, "early"))


def test_a_cluster_without_our_topics_is_found_before_the_work(servers):
    """The models topic is asked for, not made."""
    with pytest.raises(PublishError, match="fusionlog topics"):
        check_publishable(settings(servers, "early", topic_prefix="nobody"))
