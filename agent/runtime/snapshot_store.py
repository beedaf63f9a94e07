"""Snapshots on the compacted state topic: same partition number as the raw partition, in chunks, hashed.

Every snapshot has keys of its own, so compaction never removes one that is still named; superseded ones are tombstoned.
"""

import asyncio
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.errors import AgentError, LostState, SnapshotTooLarge
from agent.runtime.outgoing import Outgoing
from agent.runtime.producer import Sink
from agent.timeouts import DEFAULT_TIMEOUTS, Timeouts
from broker.errors import BrokerError, OffsetGone
from broker.settings import KafkaSettings
from broker.topic_reader import TopicReader
from schemas.chunks import Assembler, cut, parse_key, sha256_of
from schemas.errors import RecordError
from schemas.snapshot import SnapshotName

MAX_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Stored:
    """A snapshot on the topic: its name, and the keys of its chunks, for the tombstones."""

    name: SnapshotName
    keys: tuple[bytes, ...]


class Snapshots(Protocol):
    """Stores snapshots; see `SnapshotStore`."""

    async def write(self, topic: str, partition: int, body: bytes, generation: int, keys: list[bytes]) -> Stored:
        """Write a snapshot; fills `keys` first."""

    async def read(self, topic: str, partition: int, name: SnapshotName) -> tuple[Stored, bytes]:
        """The snapshot of a name."""

    def forget(self, partition: int, keys: Sequence[bytes]) -> None:
        """Tombstone a superseded snapshot."""


class SnapshotStore:
    """Writes and reads snapshots of a group's raw partitions; larger ones than `max_bytes` are refused."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        group: str,
        sink: Sink,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._kafka = kafka
        self._read_seconds = timeouts.snapshot_read_seconds
        self._max_bytes = max_bytes
        self._topic = topic
        self._group = group
        self._sink = sink

    async def write(self, topic: str, partition: int, body: bytes, generation: int, keys: list[bytes]) -> Stored:
        """Write a snapshot (not compressed); returns once every chunk is acknowledged.

        A cancelled write is not tried again: `keys` is filled before anything is written, so that it can be cleaned up.

        Raises:
            SnapshotTooLarge: `read` would refuse it; nothing is written.
        """
        blob = await asyncio.to_thread(zlib.compress, body, 1) if len(body) <= self._max_bytes else b""
        size = max(len(body), len(blob))
        if size > self._max_bytes:
            raise SnapshotTooLarge(
                f"snapshot of {topic}/{partition} must be at most {self._max_bytes} bytes, got {size}: "
                "shorten the windows or lower their limits, or spread the lines over more partitions"
            )
        prefix = f"{self._group}/{topic}/{partition}/{uuid.uuid4().hex[:16]}/"
        records = [
            Outgoing(self._topic, (prefix + key).encode(), chunk, partition=partition) for key, chunk in cut(blob)
        ]
        keys.extend(record.key for record in records if record.key is not None)
        offsets = [written.offset for written in await self._sink.send(records)]
        name = SnapshotName(base=min(offsets), last=max(offsets), sha256=sha256_of(blob), generation=generation)
        return Stored(name, tuple(keys))

    def forget(self, partition: int, keys: Sequence[bytes]) -> None:
        """Tombstone a superseded snapshot; returns at once."""
        if keys:
            self._sink.send([Outgoing(self._topic, key, None, partition=partition) for key in keys])

    async def read(self, topic: str, partition: int, name: SnapshotName) -> tuple[Stored, bytes]:
        """The snapshot of a name, verified.

        Raises:
            LostState: it is missing, incomplete or corrupt.
            AgentError: the broker did not answer in time.
        """
        where = f"snapshot of {topic}/{partition} at {self._topic}/{partition} offsets {name.base} to {name.last}"
        reader = TopicReader(self._kafka, self._topic, out_of_range="error")
        try:
            return await asyncio.to_thread(self._read, reader, topic, partition, name, where)
        except OffsetGone as error:
            raise LostState(
                f"{where} must be on the topic, got offset out of range: was the topic recreated?"
            ) from error
        except BrokerError as error:
            raise AgentError(f"{where} must be readable, got {error}") from error
        finally:
            await reader.close_in_thread()  # a read that was cancelled is still under way

    def _read(
        self, reader: TopicReader, topic: str, partition: int, name: SnapshotName, where: str
    ) -> tuple[Stored, bytes]:
        _, end = reader.watermarks([partition])[partition]
        if end <= name.last:
            raise LostState(f"{where} must be on the topic, got an end at {end}: was the topic recreated?")
        reader.start({partition: name.base})
        prefix = f"{self._group}/{topic}/{partition}/".encode()
        assembler = Assembler(name.sha256, self._max_bytes)
        keys: list[bytes] = []
        for record in reader.read_to({partition: name.last + 1}, self._read_seconds):
            key, value = record.key() or b"", record.value()
            if value is None or not key.startswith(prefix):
                continue
            chunk_key = b"/".join(key.split(b"/")[-2:])
            try:
                if parse_key(chunk_key)[0] != name.sha256:
                    continue
                keys.append(key)
                blob = assembler.add(chunk_key, value)
                if blob is not None:
                    return Stored(name, tuple(keys)), _decompressed(blob, self._max_bytes)
            except (RecordError, zlib.error) as error:
                raise LostState(f"{where} must be whole, got {error}") from error
        raise LostState(f"{where} must be whole, got {len(keys)} of its chunks: the state topic must be compacted only")


def _decompressed(blob: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj()
    body = inflater.decompress(blob, max_bytes)
    if inflater.unconsumed_tail:
        raise RecordError(f"snapshot must be at most {max_bytes} bytes, got more")
    return body
