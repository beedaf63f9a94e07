"""Choosing by hand which published version serves: a challenger, or an earlier version."""

import time

from broker.errors import BrokerError
from broker.registry import records as registry
from broker.registry.artifacts import load_artifact, open_store
from broker.registry.lease import Lease
from broker.settings import KafkaSettings
from detector.artifact.export import unpack
from schemas.model_record import ModelAlias
from schemas.topics import Topics

MAX_BYTES = 1 << 30


def promote(kafka: KafkaSettings, topics: Topics, system: str, version: int) -> ModelAlias | None:
    """Let a published version serve, once its artifact was read from its store and verified.

    Agents load it within seconds. It is written under the publishing lease, so that no trainer publishes at the same
    moment.

    Returns:
        The champion as it is now; None when the version served already and nothing was written.

    Raises:
        BrokerError: no such version is published, or the broker does not answer.
        StoreError: its artifact is absent.
        ArtifactError: its artifact is damaged.
    """
    with Lease(kafka, topics, system) as lease:
        known = registry.read_models(kafka, topics)
        pointer = known.version(system, version)
        if pointer is None:
            published = ", ".join(str(found.version) for found in known.versions(system)) or "none"
            raise BrokerError(f"version of {system!r} must be a published one ({published}), got {version}")
        champion = known.champion(system)
        if champion is not None and champion.version == version:
            return None
        store = open_store(pointer.store, kafka, topics)
        unpack(load_artifact(store, pointer.sha256, MAX_BYTES), pointer.sha256, MAX_BYTES, version=version)
        alias = ModelAlias(
            system=system,
            alias=registry.CHAMPION,
            version=version,
            epoch=known.next_epoch(system),
            sha256=pointer.sha256,
            moved_ms=time.time_ns() // 1_000_000,
            reason="promoted by hand",
        )
        lease.check()
        registry.write_record(kafka, topics, alias)
        return alias
