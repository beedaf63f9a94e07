"""The record of a closed window: its lines and its score, for audits from topics alone."""

import hashlib
from collections.abc import Sequence

from schemas.alert import ModelReference
from schemas.codec import Record


def event_hash(offsets: Sequence[int], event_ids: Sequence[str], indexes: Sequence[int] = ()) -> str:
    """Hash of a window's members: equal for equal places and event ids in equal order; an index of 0 is left out."""
    digest = hashlib.sha256()
    for offset, event_id, index in zip(offsets, event_ids, indexes or (0,) * len(offsets), strict=True):
        place = f"{offset}.{index}" if index else f"{offset}"
        digest.update(f"{place}:{event_id}\n".encode())
    return digest.hexdigest()[:32]


class ClosedWindow(Record, frozen=True, kw_only=True):
    """One closed window.

    Attributes:
        id: window id, a function of the data (system, key, topic, partition, place of the first line).
        offsets: offset of every line in the window, in the order of the partition.
        indexes: index of every line among the lines of its record; empty where all are 0. Since version 1.1.
        event_hash: `event_hash` of offsets, event ids and indexes.
        start_ms, end_ms: smallest and largest event time, milliseconds since the epoch.
        closed_by: `gap`, `watermark`, `size`, `idle` (by the clock), `shutdown` or `evicted`.
        score, threshold: probability of an anomaly, and from which on it is an alert.
    """

    schema_version: str = "1.1"
    id: str
    system: str
    kind: str
    key: str
    topic: str
    partition: int
    offsets: tuple[int, ...]
    event_hash: str
    start_ms: int
    end_ms: int
    closed_by: str
    truncated: bool = False
    score: float
    threshold: float
    anomalous: bool
    model: ModelReference
    replay: bool = False
    indexes: tuple[int, ...] = ()
