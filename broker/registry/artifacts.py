"""Artifacts in stores: from the URL of a store to the store, and an artifact's files into it and out of it."""

from collections.abc import Mapping

from broker.registry.blob_stores import BlobStore, FolderStore, checked_sha256
from broker.registry.kafka_store import KafkaStore
from broker.settings import KafkaSettings
from detector.artifact.export import read_manifest
from detector.artifact.folder import MAX_BYTES
from detector.artifact.tensors import MANIFEST
from detector.errors import ArtifactError
from schemas.chunks import sha256_of
from schemas.topics import Topics

_KAFKA = "kafka://"


def open_store(url: str, kafka: KafkaSettings, topics: Topics) -> BlobStore:
    """The store behind a URL: `kafka://` (our chunk topic), `kafka://<topic>`, or whatever fsspec opens.

    Raises:
        StoreError: the URL is not one of these.
    """
    if url.startswith(_KAFKA):
        return KafkaStore(kafka, url.removeprefix(_KAFKA) or topics.model_chunks)
    return FolderStore(url)


def save_artifact(store: BlobStore, files: Mapping[str, bytes]) -> str:
    """Store an artifact's files, the manifest last, and return the artifact's id (hash of the manifest).

    Raises:
        ArtifactError: the manifest does not describe these files.
        StoreError: the store does not accept them.
    """
    if MANIFEST not in files:
        raise ArtifactError(f"artifact must hold {MANIFEST}, got {sorted(files)}")
    declared = read_manifest(files[MANIFEST]).files
    if {name: entry.sha256 for name, entry in declared.items()} != {
        name: sha256_of(content) for name, content in files.items() if name != MANIFEST
    }:
        raise ArtifactError(f"artifact must hold what its manifest names, {sorted(declared)}, got {sorted(files)}")
    for name in sorted(declared):
        store.put(files[name])
    return store.put(files[MANIFEST])


def load_artifact(store: BlobStore, sha256: str, max_bytes: int = MAX_BYTES) -> dict[str, bytes]:
    """The files of an artifact, for `artifact.export.unpack`; `max_bytes` bounds them together, before reading.

    Raises:
        ArtifactError: the manifest cannot be read, or says that the files are larger than `max_bytes`.
        StoreError: the store lacks a file, or holds other bytes under its name.
    """
    files = {MANIFEST: store.get(checked_sha256(sha256), max_bytes)}
    declared = read_manifest(files[MANIFEST]).files
    size = len(files[MANIFEST]) + sum(entry.bytes for entry in declared.values())
    if size > max_bytes or any(entry.bytes < 0 for entry in declared.values()):
        raise ArtifactError(f"artifact must be at most {max_bytes} bytes, got {size}: raise the limit or train smaller")
    for name, entry in declared.items():
        files[name] = store.get(checked_sha256(entry.sha256), entry.bytes)
    return files
