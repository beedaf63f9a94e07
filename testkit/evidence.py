"""Reads what the checker judges from topics and committed positions."""

import contextlib
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from detector.windowing import state as window_state
from schemas.alert import Alert
from schemas.chunks import Assembler
from schemas.closed_window import ClosedWindow
from schemas.codec import decode
from schemas.dead_letter import DeadLetter
from schemas.errors import RecordError
from schemas.late_line import LateLine
from schemas.snapshot import SnapshotName
from schemas.topics import Topics
from testkit.checker import Evidence, OpenLines
from testkit.errors import TestkitError
from testkit.kafka_io import Committed, Kafka

MAX_SNAPSHOT_BYTES = 1 << 28
_WINDOWS_MAGIC = b"FLW"


def read_evidence(kafka: Kafka, topics: Topics, raw: str, group: str) -> Evidence:
    """Everything that the topics hold about one raw topic, now.

    Raises:
        BrokerError: the broker does not answer.
        TestkitError: a named snapshot is not on the state topic.
    """
    committed = kafka.committed(group, raw)
    late = [decode(message.value() or b"", LateLine) for message in kafka.read(topics.late)]
    letters = [
        DeadLetter.from_headers([(name, value or b"") for name, value in message.headers() or []])
        for message in kafka.read(topics.dlq)
    ]
    windows = [decode(message.value() or b"", ClosedWindow) for message in kafka.read(topics.windows)]
    return Evidence(
        raw=kafka.read_raw(raw),
        windows=[window for window in windows if window.topic == raw],
        alerts=[decode(message.value() or b"", Alert).id for message in kafka.read(topics.alerts)],
        committed={partition: max(0, one.offset) for partition, one in committed.items()},
        ends=kafka.ends(raw),
        late=frozenset((line.partition, line.key, (line.offset, line.index)) for line in late if line.topic == raw),
        dead=frozenset((letter.partition, letter.offset) for letter in letters if letter.topic == raw),
        open=[one for partition, named in committed.items() for one in _open(kafka, topics, partition, named)],
    )


def _open(kafka: Kafka, topics: Topics, partition: int, named: Committed) -> Iterator[OpenLines]:
    """The open windows of the snapshot that a committed position names."""
    if named.offset < 0:
        return
    name = SnapshotName.parse(named.metadata)
    assembler = Assembler(name.sha256, MAX_SNAPSHOT_BYTES)
    for message in kafka.read(topics.state):
        value, key = message.value(), b"/".join((message.key() or b"").split(b"/")[-2:])
        if value is None or message.partition() != partition or not name.base <= (message.offset() or 0) <= name.last:
            continue
        try:
            blob = assembler.add(key, value)
        except RecordError as error:
            raise TestkitError(f"snapshot of partition {partition} must be whole, got {error}") from error
        if blob is not None:
            yield from _windows(partition, zlib.decompress(blob))
            return
    raise TestkitError(f"snapshot {named.metadata} of partition {partition} must be on {topics.state}, got none")


def _window_states(part: Any) -> Iterator[bytes]:
    """The window states in a snapshot, in whatever envelopes they are."""
    if isinstance(part, bytes) and part.startswith(_WINDOWS_MAGIC):
        yield part
    elif isinstance(part, bytes):
        with contextlib.suppress(msgspec.DecodeError):
            yield from _window_states(msgspec.msgpack.decode(part))
    elif isinstance(part, list):
        for one in part:
            yield from _window_states(one)


def _windows(partition: int, snapshot: bytes) -> Iterator[OpenLines]:
    """Open windows of a snapshot, and closed ones that it has not sent yet.

    Raises:
        TestkitError: the snapshot holds no window state.
    """
    states = [window_state.read(part) for part in _window_states(snapshot)]
    if not states:
        raise TestkitError(f"snapshot of partition {partition} must hold a window state, got none")
    for state in states:
        windows: list[window_state.OpenWindow | window_state.Window] = [*state.closed]
        windows += window_state.unpack(state.events, state.open)
        for window in windows:
            indexes = window.indexes or (0,) * len(window.offsets)
            yield OpenLines(partition, window.key, tuple(zip(window.offsets, indexes, strict=True)))
