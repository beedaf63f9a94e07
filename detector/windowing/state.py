"""Open windows, and the snapshot that carries them over a restart.

A snapshot is `FLW`, a version byte, a 16-byte hash of the body, and the body in msgpack. Event ids are stored once,
in a table; offsets and times as differences. Equal states are equal bytes.
"""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import msgspec

from detector.errors import SnapshotError
from detector.input.redact import redact

SAMPLES = 8
SAMPLE_CHARACTERS = 256
_MAGIC = b"FLW"
_VERSION = 1
_DIGEST_BYTES = 16
_HEADER_BYTES = len(_MAGIC) + 1 + _DIGEST_BYTES


Place = tuple[int, int]
"""Where a line stands in its partition: offset of its record, index among the record's lines."""


class Window(msgspec.Struct, frozen=True, array_like=True):
    """A closed window: lines of one key, in the order of their partition.

    Attributes:
        id: `window_id` of its first line.
        offsets, event_ids, times_ms: one entry a line. Times are event times, milliseconds since the epoch.
        start_ms, end_ms: smallest and largest event time.
        closed_by: `gap`, `watermark`, `size`, `idle` (by the clock), or the argument of `flush`.
        truncated: a session that was cut because it reached `max_lines`; its later lines are in another window.
        samples: (event id, raw text) of the first line of each of the first 8 distinct events, texts cut.
        indexes: index of each line among the lines of its record; empty where all are 0.
    """

    id: str
    system: str
    kind: str
    key: str
    topic: str
    partition: int
    offsets: tuple[int, ...]
    event_ids: tuple[str, ...]
    times_ms: tuple[int, ...]
    start_ms: int
    end_ms: int
    closed_by: str
    truncated: bool
    samples: tuple[tuple[str, str], ...]
    indexes: tuple[int, ...] = ()


class Late(msgspec.Struct, frozen=True, array_like=True):
    """A line that came for a key after the window it belongs to had been closed by the watermark."""

    key: str
    offset: int
    event_time_ms: int
    watermark_ms: int
    event_id: str
    text: str
    index: int = 0


class OpenWindow:
    """Lines of one key so far; `bucket` is the tumbling bucket, 0 for other kinds."""

    __slots__ = ("bucket", "event_ids", "indexes", "key", "max_ms", "min_ms", "offsets", "samples", "times_ms")

    def __init__(self, key: str, bucket: int, event_time_ms: int) -> None:
        self.key = key
        self.bucket = bucket
        self.min_ms = self.max_ms = event_time_ms
        self.offsets = array("q")
        self.indexes = array("q")  # empty as long as all are 0
        self.times_ms = array("q")
        self.event_ids: list[str] = []
        self.samples: dict[str, str] = {}

    @property
    def first(self) -> Place:
        """Place of its first line."""
        return self.offsets[0], self.indexes[0] if self.indexes else 0

    def append(self, place: Place, event_time_ms: int, event_id: str, text: str) -> int:
        """Take a line; the number of lines after it."""
        offset, index = place
        if index and not self.indexes:
            self.indexes.extend([0] * len(self.offsets))
        if index or self.indexes:
            self.indexes.append(index)
        self.offsets.append(offset)
        self.times_ms.append(event_time_ms)
        self.event_ids.append(event_id)
        if event_time_ms > self.max_ms:
            self.max_ms = event_time_ms
        elif event_time_ms < self.min_ms:
            self.min_ms = event_time_ms
        samples = self.samples
        if event_id not in samples and len(samples) < SAMPLES:
            # Never cut within a word: half of a secret is not recognized as one when the sample is redacted.
            words = text[: SAMPLE_CHARACTERS + 1].rpartition(" ")[0] if len(text) > SAMPLE_CHARACTERS else text
            samples[event_id] = words or redact(text)[:SAMPLE_CHARACTERS]
        return len(self.event_ids)


class Rule(msgspec.Struct, frozen=True, array_like=True):
    """The part of a `WindowSpec` that decides membership, in milliseconds."""

    kind: str
    idle_ms: int
    size_ms: int
    max_lines: int


class _Open(msgspec.Struct, array_like=True):
    key: str
    bucket: int
    offset: int
    offset_steps: list[int]
    time_ms: int
    time_steps: list[int]
    events: list[int]
    samples: list[str]
    indexes: list[int] = []


class State(msgspec.Struct, array_like=True):
    """Everything that a `WindowCutter` remembers. `remembered` holds (key, latest time of its last closed session)."""

    system: str
    topic: str
    partition: int
    rule: Rule
    last_offset: int | None
    newest_ms: int | None
    events: list[str]
    open: list[_Open]
    remembered: list[tuple[str, int]]
    closed: list[Window]
    late: list[Late]
    last_index: int = 0


def pack(windows: Iterable[OpenWindow]) -> tuple[list[str], list[_Open]]:
    """Event table and open windows as a `State` holds them."""
    numbers: dict[str, int] = {}
    packed = []
    for window in windows:
        events = [numbers.setdefault(event_id, len(numbers)) for event_id in window.event_ids]
        # The sampled events are the first distinct ones, in order, so their ids are not stored again.
        packed.append(
            _Open(
                window.key,
                window.bucket,
                window.offsets[0],
                _steps(window.offsets),
                window.times_ms[0],
                _steps(window.times_ms),
                events,
                list(window.samples.values()),
                list(window.indexes),
            )
        )
    return list(numbers), packed


def unpack(events: Sequence[str], packed: Iterable[_Open]) -> list[OpenWindow]:
    """Open windows of a `State`.

    Raises:
        SnapshotError: a window's parts do not fit together.
    """
    try:
        return [_unpacked(events, one) for one in packed]
    except (IndexError, ValueError, OverflowError) as error:
        raise SnapshotError(f"window snapshot must hold an offset, a time and an event a line: {error}") from error


def _unpacked(events: Sequence[str], one: _Open) -> OpenWindow:
    window = OpenWindow(one.key, one.bucket, one.time_ms)
    offsets = accumulate(one.offset_steps, initial=one.offset)
    times_ms = accumulate(one.time_steps, initial=one.time_ms)
    indexes = one.indexes or [0] * len(one.events)
    for event, offset, time_ms, index in zip(one.events, offsets, times_ms, indexes, strict=True):
        window.append((offset, index), time_ms, events[event], "")
    window.samples = dict(zip(window.samples, one.samples, strict=True))
    return window


def write(state: State) -> bytes:
    """The snapshot of a state."""
    body = msgspec.msgpack.encode(state)
    return _MAGIC + bytes([_VERSION]) + _digest(body) + body


def read(data: bytes) -> State:
    """The state in a snapshot.

    Raises:
        SnapshotError: it is cut short, altered, or of another version.
    """
    if len(data) < _HEADER_BYTES or data[: len(_MAGIC)] != _MAGIC:
        raise SnapshotError(f"window snapshot must begin with {_MAGIC!r} and be whole, got {len(data)} bytes")
    version = data[len(_MAGIC)]
    if version != _VERSION:
        raise SnapshotError(
            f"window snapshot must be of version {_VERSION}, got {version}: "
            "run the program that wrote it, or restart the windows"
        )
    body = data[_HEADER_BYTES:]
    if _digest(body) != data[len(_MAGIC) + 1 : _HEADER_BYTES]:
        raise SnapshotError("window snapshot must hash to its header, got another hash: it was cut short or altered")
    try:
        return msgspec.msgpack.decode(body, type=State)
    except (msgspec.DecodeError, ValueError) as error:
        raise SnapshotError(f"window snapshot must hold a window state, got {error}") from error


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _steps(values: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise(values)]
