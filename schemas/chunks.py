"""Cutting a blob into records below the broker's message limit, and putting it together again, checked.

Used by the `kafka://` artifact store (key `<sha256>/<i>of<n>`) and by window snapshots.
"""

import hashlib
import re
from collections.abc import Iterator

from schemas.errors import RecordError

CHUNK_BYTES = 512 * 1024
_KEY = re.compile(r"^([0-9a-f]{64})/(\d{1,6})of(\d{1,6})$")


def sha256_of(blob: bytes) -> str:
    """Hex SHA-256 of the bytes."""
    return hashlib.sha256(blob).hexdigest()


def cut(blob: bytes, chunk_bytes: int = CHUNK_BYTES) -> Iterator[tuple[str, bytes]]:
    """Keys and values of the records that hold `blob`; an empty blob is one empty record."""
    digest = sha256_of(blob)
    count = max(1, -(-len(blob) // chunk_bytes))
    for index in range(count):
        yield f"{digest}/{index}of{count}", blob[index * chunk_bytes : (index + 1) * chunk_bytes]


def parse_key(key: bytes | str | None) -> tuple[str, int, int]:
    """(sha256, index, count) of a chunk's key.

    Raises:
        RecordError: the key is not a chunk's, or its index is not below its count.
    """
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else (key or "")
    match = _KEY.match(text)
    if match is None or int(match[2]) >= int(match[3]):
        raise RecordError(f"chunk key must be '<sha256>/<i>of<n>' with i < n, got {text[:100]!r}")
    return match[1], int(match[2]), int(match[3])


class Assembler:
    """Collects the chunks of one blob, in any order, and returns it once it is whole and its hash is right."""

    def __init__(self, sha256: str, max_bytes: int) -> None:
        self._sha256 = sha256
        self._max_bytes = max_bytes
        self._count: int | None = None
        self._chunks: dict[int, bytes] = {}

    def add(self, key: bytes | str | None, value: bytes) -> bytes | None:
        """Take a record; the blob when it was the last missing one, else None. Chunks of other blobs are ignored.

        Raises:
            RecordError: the blob is larger than `max_bytes`, its chunks contradict each other, or its hash is wrong.
        """
        digest, index, count = parse_key(key)
        if digest != self._sha256:
            return None
        if self._count is None:
            self._count = count
        if count != self._count:
            raise RecordError(f"blob {digest[:12]} must have {self._count} chunks, got one of {count}")
        self._chunks[index] = value
        size = sum(map(len, self._chunks.values()))
        if size > self._max_bytes:
            raise RecordError(f"blob {digest[:12]} must be at most {self._max_bytes} bytes, got {size}")
        if len(self._chunks) < count:
            return None
        blob = b"".join(self._chunks[i] for i in range(count))
        if sha256_of(blob) != digest:
            raise RecordError(f"blob {digest[:12]} must hash to its key, got {sha256_of(blob)[:12]}: store is corrupt")
        return blob
