"""Publishing a model: the artifact first, the version second, the alias third, each checked before the next.

Whenever this stops, by Ctrl-C, by a kill or because the broker is gone, what is published is whole: a version is
written only after the artifact was read back from the store, an alias only after the version was acknowledged. What
may be left behind is an artifact that no record names, or a version that does not serve.
"""

import math
import time
from collections.abc import Mapping

import structlog

from broker.errors import BrokerError, PublishError
from broker.registry import records as registry
from broker.registry.artifacts import load_artifact, open_store, save_artifact
from broker.registry.blob_stores import BlobStore
from broker.registry.lease import Lease
from broker.settings import KafkaSettings
from detector.artifact.export import unpack
from detector.errors import ArtifactError, StoreError
from schemas.model_record import ModelAlias, ModelPointer
from schemas.topics import Topics

CHALLENGER = "challenger"
_PROBE = b"fusionlog was here to see whether models can be stored"


def check_publishable(kafka: KafkaSettings, topics: Topics, store_url: str) -> None:
    """Find out before the training, not after it, that the models topic or the store cannot be used.

    Raises:
        PublishError: one of them does not answer or is absent.
    """
    try:
        registry.read_models(kafka, topics)
        store = open_store(store_url, kafka, topics)
        # A store that opens may still be read-only: the same few bytes each time, so they are stored once.
        store.get(store.put(_PROBE), len(_PROBE))
    except (BrokerError, StoreError) as error:
        raise PublishError(f"models cannot be published: {error}; --no-publish --out FOLDER trains without") from error


# Long: its arguments and two records are written out.
def publish(
    kafka: KafkaSettings,
    topics: Topics,
    store_url: str,
    files: Mapping[str, bytes],
    *,
    system: str,
    labeller: str,
    metrics: Mapping[str, float],
    promote: bool = True,
) -> tuple[int, str]:
    """Store the artifact, name it as the system's next version, and let it serve.

    Without `promote` it becomes the challenger, and the present champion stays. Metrics that are not finite are left
    out. Returns the version and the artifact's id (hash of its manifest).

    Raises:
        PublishError: it is not, or not wholly, published; the model that served before still does.
    """
    try:
        store = open_store(store_url, kafka, topics)
        sha256 = _put_and_read_back(store, files)
        with Lease(kafka, topics, system) as lease:
            # The registry is read under the lease, so that no other trainer takes the version.
            known = registry.read_models(kafka, topics)
            version, epoch, now_ms = known.next_version(system), known.next_epoch(system), time.time_ns() // 1_000_000
            pointer = ModelPointer(
                system=system,
                version=version,
                epoch=epoch,
                sha256=sha256,
                store=store.url,
                created_ms=now_ms,
                labeller=labeller,
                size_bytes=sum(map(len, files.values())),
                metrics={name: float(value) for name, value in metrics.items() if math.isfinite(value)},
            )
            alias = ModelAlias(
                system=system,
                alias=registry.CHAMPION if promote else CHALLENGER,
                version=version,
                epoch=epoch + 1,
                sha256=sha256,
                moved_ms=now_ms,
                reason="trained",
            )
            _write(kafka, topics, lease, pointer, alias)
    except (ArtifactError, StoreError, BrokerError) as error:
        raise PublishError(f"the model of {system!r} is trained but not published: {error}") from error
    structlog.get_logger(__name__).info(
        "model published", system=system, version=version, sha256=sha256, store=store.url, serves=promote
    )
    return version, sha256


def _put_and_read_back(store: BlobStore, files: Mapping[str, bytes]) -> str:
    sha256 = save_artifact(store, files)
    size = sum(map(len, files.values()))
    unpack(load_artifact(store, sha256, size), sha256, size)
    return sha256


def _write(kafka: KafkaSettings, topics: Topics, lease: Lease, pointer: ModelPointer, alias: ModelAlias) -> None:
    """Write the version, then the alias, and read back that the alias names it."""
    for record in (pointer, alias):
        lease.check()
        registry.write_record(kafka, topics, record)
    published = registry.read_models(kafka, topics).champion(alias.system, alias.alias)
    if published is None or published.sha256 != alias.sha256:
        raise BrokerError(f"{alias.key} must name version {alias.version} now, got {published}: train again")
