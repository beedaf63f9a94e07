"""Publishing on the embedded broker."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from broker.admin import ensure_topics
from broker.embedded import embedded_broker
from broker.errors import BrokerError, PublishError
from broker.registry import publish as publishing
from broker.registry import records as registry
from broker.registry.artifacts import load_artifact, open_store
from broker.registry.lease import Lease
from broker.registry.publish import check_publishable, publish
from broker.registry.records import Registry, read_models
from broker.settings import KafkaSettings
from detector.artifact.export import unpack
from detector.testing import tiny_files
from schemas.chunks import sha256_of
from schemas.model_record import ModelAlias, ModelPointer
from schemas.topics import Topics

pytestmark = pytest.mark.usefixtures("plain_producers")
TOPICS = Topics()


@dataclass(frozen=True)
class Target:
    """Where a test publishes."""

    kafka: KafkaSettings
    system: str
    store: str = "kafka://"
    topics: Topics = TOPICS

    def publish(self, seed: int = 0, *, promote: bool = True) -> tuple[int, str]:
        """Publish a model that was not trained, with one metric that is no number."""
        return publish(
            self.kafka,
            self.topics,
            self.store,
            artifact(seed),
            system=self.system,
            labeller="heuristic",
            metrics={"agreement": 0.9, "broken": float("nan")},
            promote=promote,
        )

    def models(self) -> Registry:
        """What is published."""
        return read_models(self.kafka, self.topics)


def artifact(seed: int = 0) -> dict[str, bytes]:
    """Files of a model that was not trained: publishing does not look at its weights."""
    return tiny_files(seed=seed, steps=0)


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """Settings of an embedded broker that has our topics."""
    with embedded_broker() as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        ensure_topics(settings, Topics(), raw={})
        yield settings


@pytest.mark.parametrize("in_folder", [False, True])
def test_a_published_model_serves_and_can_be_loaded(kafka: KafkaSettings, tmp_path: Path, in_folder: bool) -> None:
    """The champion's record leads to the very model, on Kafka or in a folder; NaN metrics are left out."""
    target = Target(kafka, f"orders-{in_folder}".lower(), str(tmp_path) if in_folder else "kafka://")
    assert target.publish()[0] == 1
    pointer = target.models().champion(target.system)
    assert pointer is not None
    files = load_artifact(open_store(pointer.store, kafka, target.topics), pointer.sha256)
    assert unpack(files, pointer.sha256).sha256 == pointer.sha256
    assert pointer.size_bytes == sum(map(len, files.values()))
    assert pointer.metrics == {"agreement": 0.9}


def test_versions_count_up_and_the_newest_serves(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Each publication is the next version, with a higher epoch."""
    target = Target(kafka, "counting", str(tmp_path))
    assert [target.publish(seed)[0] for seed in (0, 1)] == [1, 2]
    known = target.models()
    assert known.champion("counting") == known.version("counting", 2)
    first, second = known.versions("counting")
    assert first.epoch < second.epoch


def test_a_model_that_is_not_promoted_is_the_challenger(kafka: KafkaSettings, tmp_path: Path) -> None:
    """The champion stays."""
    target = Target(kafka, "careful", str(tmp_path))
    target.publish()
    target.publish(1, promote=False)
    known = target.models()
    assert known.champion("careful") == known.version("careful", 1)
    assert known.champion("careful", "challenger") == known.version("careful", 2)


class Interrupting:
    """Stands in for a function and stops the run before or after the call of that number."""

    def __init__(self, function: Callable[..., Any], call: int, after: bool) -> None:
        self.function, self.left, self.after = function, call, after

    def __call__(self, *arguments: Any) -> Any:
        """Call the function, unless it is time to stop."""
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
        (registry, "write_record", 1, True),
        (registry, "write_record", 2, True),
    ],
)
def test_an_interrupted_publication_names_nothing_that_is_missing(
    kafka: KafkaSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
    call: int,
    after: bool,
) -> None:
    """Ctrl-C between any two steps: every version and alias leads to a whole artifact, and the next run succeeds."""
    system = f"stopped-{name.strip('_').replace('_', '-')}-{call}-{after}".lower()
    target = Target(kafka, system, str(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(module, name, Interrupting(getattr(module, name), call, after))
        with pytest.raises(KeyboardInterrupt):
            target.publish()
    known = target.models()
    for pointer in known.versions(system):
        files = load_artifact(open_store(pointer.store, kafka, target.topics), pointer.sha256)
        assert unpack(files, pointer.sha256).sha256 == pointer.sha256
    assert len(known.versions(system)) == (name == "write_record")
    assert (known.champion(system) is not None) == (call == 2)
    version, sha256 = target.publish(1)
    champion = target.models().champion(system)
    assert champion is not None
    assert champion.sha256 == sha256
    assert version == len(known.versions(system)) + 1


def test_two_trainers_do_not_publish_at_once(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one holds the lease, the other gets an error that names it, and publishes nothing."""
    target = Target(kafka, "contested")
    monkeypatch.setattr(publishing, "Lease", lambda *place: Lease(place[0], place[1], place[2], wait_seconds=0))
    with (
        Lease(kafka, target.topics, "contested"),
        pytest.raises(PublishError, match=r"another trainer .* is publishing"),
    ):
        target.publish()
    assert target.models().versions("contested") == []
    assert target.publish()[0] == 1


def test_a_store_that_loses_bytes_gets_no_version(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact that does not come back from the store as it was is never named."""

    class Lossy:
        url = "test://lossy"

        def put(self, blob: bytes) -> str:
            return sha256_of(blob)

        def get(self, *_: object) -> bytes:
            return b"{}"

    monkeypatch.setattr(publishing, "open_store", lambda *_: Lossy())
    target = Target(kafka, "lossy")
    with pytest.raises(PublishError, match="trained but not published"):
        target.publish()
    assert target.models().versions("lossy") == []


def test_a_missing_broker_is_found_before_the_training(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to train without publishing."""

    def refuse(*_: object) -> Registry:
        raise BrokerError("Kafka must answer within 30 s, got silence")

    monkeypatch.setattr(registry, "read_models", refuse)
    with pytest.raises(PublishError, match="--no-publish --out FOLDER"):
        check_publishable(kafka, Topics(), "kafka://")


def test_a_cluster_without_our_topics_is_found_before_the_training(kafka: KafkaSettings) -> None:
    """The models topic is asked for, not created."""
    with pytest.raises(PublishError, match="fusionlog topics"):
        check_publishable(kafka, Topics("nobody"), "kafka://")


class Held:
    """A lease that expires after so many checks."""

    def __init__(self, checks: int) -> None:
        self.left = checks

    def check(self) -> None:
        """See `Lease.check`."""
        self.left -= 1
        if self.left < 0:
            raise BrokerError("publishing must end in time")


def write(monkeypatch: pytest.MonkeyPatch, checks: int, champion: ModelPointer | None) -> list[str]:
    """Write version 3 and its alias; kinds of the records that were written before the error."""
    pointer = ModelPointer(
        system="s", version=3, epoch=5, sha256="a", store="kafka://", created_ms=1, labeller="x", size_bytes=1
    )
    alias = ModelAlias(system="s", alias="champion", version=3, epoch=6, sha256="a", moved_ms=1)
    written: list[str] = []
    monkeypatch.setattr(registry, "write_record", lambda *record: written.append(type(record[-1]).__name__))
    monkeypatch.setattr(registry, "read_models", lambda *_: SimpleNamespace(champion=lambda *_: champion or pointer))
    lease: Any = Held(checks)
    with pytest.raises(BrokerError) if champion or checks < 2 else nullcontext():
        publishing._write(KafkaSettings(), TOPICS, lease, pointer, alias)
    return written


@pytest.mark.parametrize("checks", [0, 1, 2])
def test_nothing_is_written_once_the_lease_has_expired(monkeypatch: pytest.MonkeyPatch, checks: int) -> None:
    """It is checked before each record, so that no other trainer's version is overwritten."""
    assert write(monkeypatch, checks, None) == ["ModelPointer", "ModelAlias"][:checks]


def test_an_alias_that_does_not_name_the_version_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is read back: another trainer may have moved the alias meanwhile."""
    other = ModelPointer(
        system="s", version=4, epoch=7, sha256="b", store="kafka://", created_ms=1, labeller="x", size_bytes=1
    )
    assert write(monkeypatch, 2, other) == ["ModelPointer", "ModelAlias"]
