"""Fakes for tests: an artifact store in memory."""

from broker.registry.blob_stores import checked_sha256
from detector.errors import StoreError
from schemas.chunks import sha256_of


class InMemoryBlobStore:
    """A `BlobStore` in memory.

    Attributes:
        blobs: content by hash; tests may alter it, as a corrupt store would.
    """

    url = "test://memory"

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def put(self, blob: bytes) -> str:
        """Keep a blob; its hash."""
        sha256 = sha256_of(blob)
        self.blobs[sha256] = bytes(blob)
        return sha256

    def get(self, sha256: str, max_bytes: int) -> bytes:
        """The blob, checked as real stores check it."""
        blob = self.blobs.get(checked_sha256(sha256))
        if blob is None:
            raise StoreError(f"store must hold blob {sha256[:12]}, got none")
        if len(blob) > max_bytes:
            raise StoreError(f"blob {sha256[:12]} must be at most {max_bytes} bytes, got {len(blob)}")
        if sha256_of(blob) != sha256:
            raise StoreError(f"blob {sha256[:12]} must hash to its name")
        return blob
