"""The record of a closed window: what was in it and what the model said, for audits from topics alone."""

import hashlib
from collections.abc import Sequence

from schemas.alert import ModelReference
from schemas.codec import Record


def event_hash(offsets: Sequence[int], event_ids: Sequence[str]) -> str:
    """Hash of a window's members: equal for equal offsets and event ids in equal order."""
    digest = hashlib.sha256()
    for offset, event_id in zip(offsets, event_ids, strict=True):
        digest.update(f"{offset}:{event_id}\n".encode())
    return digest.hexdigest()[:32]


class ClosedWindow(Record, frozen=True, kw_only=True):
    """One closed window.

    Attributes:
        id: window id, a function of the data (system, key, topic, partition, first offset).
        offsets: offset of every line in the window, in the order of the partition.
        event_hash: `event_hash` of offsets and event ids.
        start_ms, end_ms: smallest and largest event time, milliseconds since the epoch.
        closed_by: `gap`, `watermark`, `size`, `idle` (by the clock), `shutdown` or `evicted`.
        score, threshold: probability of an anomaly, and from which on it is an alert.
    """

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
