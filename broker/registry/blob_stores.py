"""Where blobs are kept, named by their hash: in a folder or any place fsspec reaches.

`BlobStore` is the interface: `kafka_store` has one on a topic, `broker.testing` one in memory.
"""

import contextlib
import os
import re
import uuid
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from detector.errors import StoreError
from schemas.chunks import sha256_of

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BlobStore(Protocol):
    """Keeps blobs under their hash."""

    @property
    def url(self) -> str:
        """Address of the store, as the models topic names it."""

    def put(self, blob: bytes) -> str:
        """Store a blob and return its SHA-256; when it returns, every reader can get it."""

    def get(self, sha256: str, max_bytes: int) -> bytes:
        """The blob of that hash, checked; a StoreError if it is absent or larger than `max_bytes`."""


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
        except Exception as error:  # each file system raises errors of its own, without a common base
            raise StoreError(f"store must be a path or an fsspec URL, got {url!r}: {_text_of(error)}") from error
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
                f"store {self.url} must be writable, got: {_text_of(error)}: check its permissions and free space"
            ) from error
        return sha256

    def get(self, sha256: str, max_bytes: int) -> bytes:
        """The blob of that hash; its size is checked before it is read.

        Raises:
            StoreError: it is absent, is larger than `max_bytes`, or does not hash to its name.
        """
        path = self._path(sha256)
        try:
            size = int(self._files.info(path)["size"])
            blob: bytes = self._files.cat_file(path, start=0, end=size) if size <= max_bytes else b""
        except FileNotFoundError as error:
            raise StoreError(
                f"store {self.url} must hold blob {sha256[:12]}, got none: check the store's URL or publish again"
            ) from error
        except Exception as error:
            raise StoreError(
                f"store {self.url} must be readable, got: {_text_of(error)}: check its address and permissions"
            ) from error
        if size > max_bytes:
            raise StoreError(f"blob {sha256[:12]} must be at most {max_bytes} bytes, got {size}: raise the limit")
        if sha256_of(blob) != sha256:
            raise StoreError(f"blob {sha256[:12]} must hash to its name, got {sha256_of(blob)[:12]}: publish it again")
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


def _text_of(error: Exception) -> str:
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
