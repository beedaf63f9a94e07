"""Publishing a trained model: the artifact first, the pointer second, the alias third, each proved before the next.

Whenever this stops, by Ctrl-C, by a kill or by a broker that is gone, what is published is whole: a pointer is written
only after the artifact was read back from the store, an alias only after the pointer was acknowledged. What is left
behind is an artifact that nothing names, or a version that does not serve.
"""

import time
from collections.abc import Mapping

import structlog

from broker.errors import BrokerError
from broker.registry import records as registry
from broker.registry.blob_stores import BlobStore, load_artifact, save_artifact
from broker.registry.lease import Lease
from broker.registry.stores import open_store
from detector.artifact.export import unpack
from detector.errors import ArtifactError, StoreError
from schemas.model_record import ModelAlias, ModelPointer
from trainer.errors import PublishError
from trainer.settings import TrainerSettings

CHALLENGER = "challenger"


_PROBE = b"fusionlog was here to see whether models can be stored"


def check_publishable(settings: TrainerSettings) -> None:
    """Find out before the work, not after it, that the models topic or the store cannot be reached.

    Raises:
        PublishError: one of them does not answer or is not there.
    """
    try:
        registry.read_models(settings.kafka, settings.topics)
        store = open_store(settings.store, settings.kafka, settings.topics)
        # A store that opens may still be read-only: the same few bytes each time, so they are stored once.
        store.get(store.put(_PROBE), len(_PROBE))
    except (BrokerError, StoreError) as error:
        raise PublishError(f"models cannot be published: {error}; --no-publish --out FOLDER trains without") from error


def publish(
    settings: TrainerSettings, files: Mapping[str, bytes], labeller: str, metrics: Mapping[str, float]
) -> tuple[int, str]:
    """Store the artifact, name it as the system's next version, and let it serve.

    With `promote: false` it becomes the challenger, and what serves goes on serving.

    Returns:
        The version and the artifact's id (hash of its manifest).

    Raises:
        PublishError: it is not, or not wholly, published; the model that served before still does.
    """
    system = settings.target.spec.name
    try:
        store = open_store(settings.store, settings.kafka, settings.topics)
        sha256 = _put_and_read_back(store, files)
        with Lease(settings.kafka, settings.topics, system) as lease:
            version = _name(settings, labeller, metrics, lease, store.url, sha256, sum(map(len, files.values())))
    except (ArtifactError, StoreError, BrokerError) as error:
        raise PublishError(f"the model of {system!r} is trained but not published: {error}") from error
    structlog.get_logger(__name__).info(
        "model published", system=system, version=version, sha256=sha256, store=store.url, serves=settings.promote
    )
    return version, sha256


def _put_and_read_back(store: BlobStore, files: Mapping[str, bytes]) -> str:
    sha256 = save_artifact(store, files)
    size = sum(map(len, files.values()))
    unpack(load_artifact(store, sha256, size), sha256, size)
    return sha256


def _name(
    settings: TrainerSettings,
    labeller: str,
    metrics: Mapping[str, float],
    lease: Lease,
    store_url: str,
    sha256: str,
    size_bytes: int,
) -> int:
    """Write pointer and alias; the version. The registry is read under the lease, so no one else takes the number."""
    system = settings.target.spec.name
    known = registry.read_models(settings.kafka, settings.topics)
    version, epoch = known.next_version(system), known.next_epoch(system)
    pointer = ModelPointer(
        system=system,
        version=version,
        epoch=epoch,
        sha256=sha256,
        store=store_url,
        created_ms=_now_ms(),
        labeller=labeller,
        size_bytes=size_bytes,
        metrics=dict(metrics),
    )
    alias = ModelAlias(
        system=system,
        alias=registry.CHAMPION if settings.promote else CHALLENGER,
        version=version,
        epoch=epoch + 1,
        sha256=sha256,
        moved_ms=_now_ms(),
        reason="trained",
    )
    lease.check()
    registry.publish(settings.kafka, settings.topics, pointer, None)
    lease.check()
    registry.publish(settings.kafka, settings.topics, None, alias)
    published = registry.read_models(settings.kafka, settings.topics).champion(system, alias.alias)
    if published is None or published.sha256 != sha256:
        raise BrokerError(f"{alias.key} must name version {version} now, got {published}: train again")
    return version


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
