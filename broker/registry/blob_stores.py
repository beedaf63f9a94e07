"""Where artifacts are kept: blobs named by their hash, in a folder or any place fsspec reaches.

`BlobStore` is the seam: `broker` adds one on Kafka topics, tests use `detector.testing.InMemoryBlobStore`.
"""

import contextlib
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from detector.artifact.export import read_manifest
from detector.artifact.folder import MAX_BYTES
from detector.artifact.tensors import MANIFEST
from detector.errors import ArtifactError, StoreError
from schemas.chunks import sha256_of

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BlobStore(Protocol):
    """Keeps blobs under their hash."""

    @property
    def url(self) -> str:
        """Address of the store, as the models topic names it."""
        ...

    def put(self, blob: bytes) -> str:
        """Store a blob and return its SHA-256; when it returns, every reader can get it.

        Raises:
            StoreError: the store does not take it.
        """
        ...

    def get(self, sha256: str, max_bytes: int) -> bytes:
        """The blob of that hash.

        Raises:
            StoreError: it is not there, is larger than `max_bytes`, or does not hash to its name.
        """
        ...


class FolderStore:
    """Blobs as files `<first two digits>/<hash>` under a folder: a plain path, or any URL that fsspec knows.

    Args:
        url: path, `file://`, `s3://bucket/prefix`, `gs://`, `az://`, `memory://`, …; credentials come from the
            environment, never from the URL, since the URL is published.

    Raises:
        StoreError: the URL holds a password, or its file system is unknown or not installed.
    """

    def __init__(self, url: str) -> None:
        import fsspec.core

        if "://" in url and "@" in urlsplit(url).netloc:
            raise StoreError(
                f"store URL must hold no credentials, got one for {urlsplit(url).hostname}: set them outside"
            )
        self.url = url
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except Exception as error:  # each file system has errors of its own, which share no base
            raise StoreError(f"store must be a path or an fsspec URL, got {url!r}: {_said(error)}") from error
        protocol = self._files.protocol
        self._local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def put(self, blob: bytes) -> str:
        """Store a blob and return its SHA-256; on a local disk it appears whole or not at all.

        Raises:
            StoreError: the store does not take it; nothing partial is left under its name.
        """
        sha256 = sha256_of(blob)
        path = self._path(sha256)
        try:
            if self._local:
                _write_atomically(Path(path), blob)
            else:
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._files.pipe_file(path, blob)  # object stores show an object when its upload is complete
        except Exception as error:
            raise StoreError(
                f"store {self.url} must be writable, got: {_said(error)}: check its rights and room"
            ) from error
        return sha256

    def get(self, sha256: str, max_bytes: int) -> bytes:
        """The blob of that hash; its size is asked before it is read.

        Raises:
            StoreError: it is not there, is larger than `max_bytes`, or does not hash to its name.
        """
        path = self._path(sha256)
        try:
            blob = self._read(path, sha256, max_bytes)
        except FileNotFoundError as error:
            raise StoreError(
                f"store {self.url} must hold blob {sha256[:12]}, got none: check the store's URL or publish again"
            ) from error
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(
                f"store {self.url} must be readable, got: {_said(error)}: check its address and rights"
            ) from error
        if sha256_of(blob) != sha256:
            raise StoreError(f"blob {sha256[:12]} must hash to its name, got {sha256_of(blob)[:12]}: publish it again")
        return blob

    def _read(self, path: str, sha256: str, max_bytes: int) -> bytes:
        size = int(self._files.info(path)["size"])
        if size > max_bytes:
            raise StoreError(f"blob {sha256[:12]} must be at most {max_bytes} bytes, got {size}: raise the limit")
        blob: bytes = self._files.cat_file(path, start=0, end=size)
        return blob

    def _path(self, sha256: str) -> str:
        return f"{self._root.rstrip('/')}/{checked_sha256(sha256)[:2]}/{sha256}"


def checked_sha256(sha256: str) -> str:
    """The hash, if it is one: it becomes part of a path or key.

    Raises:
        StoreError: it is not 64 hexadecimal digits.
    """
    if _SHA256.fullmatch(sha256) is None:
        raise StoreError(f"sha256 must be 64 hexadecimal digits, got {sha256[:80]!r}")
    return sha256


def save_artifact(store: BlobStore, files: Mapping[str, bytes]) -> str:
    """Store an artifact's files, the manifest last, and return the artifact's id (hash of the manifest).

    Raises:
        ArtifactError: the manifest does not describe these files.
        StoreError: the store does not take them.
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


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _write_atomically(path: Path, blob: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
