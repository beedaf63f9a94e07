"""The demo's data: labelled source lines, unlabelled target lines, and, separate from both, the truth."""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from detector.system import SystemSpec
from fusionlog.demo.systems import MEDIA_SPEC, PAYMENTS_SPEC
from loggen.demo import media, payments
from loggen.engine import Service, SimulatedLine, Stamp, Traffic, rng_of, simulate, spread

PARTITIONS = 4  # of every topic of the embedded broker
SOURCE_SESSIONS = 1_500
HISTORY_SESSIONS = 2_200
LIVE_SESSIONS = 2_000
# Fixed dates in the past, so that a seed always gives the same bytes.
_SOURCE_START = datetime(2025, 3, 3, 8, tzinfo=UTC)
_HISTORY_START = datetime(2025, 3, 4, 8, tzinfo=UTC)
_PAUSE_MS = 600_000
_AT_LEAST = 12
_SHIFT_SESSIONS = 500
_RATE = 40.0


@dataclass(frozen=True)
class GeneratedLine:
    """A line as a shipper sends it, without label and truth. `key` is what the shipper hashes to a partition."""

    text: str
    time_ms: int
    partition: int
    key: str


@dataclass(frozen=True)
class DemoData:
    """All data of a seed.

    Attributes:
        source: (line, whether its session failed) in order.
        history, live: the target's lines before and after training.
        truth: live session → failure kind, "" for a normal session; only the demo's scorer reads it.
        kinds: failure kind of the target → what shows it.
    """

    source_spec: SystemSpec
    target_spec: SystemSpec
    source: tuple[tuple[str, bool], ...]
    history: tuple[GeneratedLine, ...]
    live: tuple[GeneratedLine, ...]
    truth: dict[str, str]
    kinds: dict[str, str]


def source_service(seed: int) -> Service:
    """The labelled source, in the words of a seed."""
    return payments.payments(rng_of(seed, "payments"))


def target_service(seed: int) -> Service:
    """The unlabelled target, in the words of a seed."""
    return media.media(rng_of(seed, "media"))


def generate(seed: int) -> DemoData:
    """All data of a seed: the same bytes each time."""
    target = target_service(seed)
    history, _ = _target_lines(target, seed, "history", HISTORY_SESSIONS, _ms(_HISTORY_START))
    live, truth = _target_lines(target, seed, "live", LIVE_SESSIONS, max(line.time_ms for line in history) + _PAUSE_MS)
    return DemoData(
        source_spec=PAYMENTS_SPEC,
        target_spec=MEDIA_SPEC,
        source=_source_lines(seed),
        history=history,
        live=live,
        truth=truth,
        kinds={fault.kind: fault.shows for fault in target.faults},
    )


def closing_lines(lines: Sequence[GeneratedLine], spec: SystemSpec) -> tuple[GeneratedLine, ...]:
    """One line without a key per partition, late enough to move the watermark past every open window."""
    window = spec.window
    after = max(line.time_ms for line in lines) + int(1000 * (window.idle_seconds + window.lateness_seconds)) + 60_000
    text = media.layout(Stamp(after, "m1", "debug", "gossip", "", "end of shift"))
    return tuple(GeneratedLine(text, after, partition, "") for partition in range(PARTITIONS))


def write_source(path: Path, data: DemoData) -> None:
    """Write the labelled source as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for text, failed in data.source:
            file.write(json.dumps({"message": text, "label": "anomalous" if failed else "normal"}) + "\n")


def shifts(seed: int, sessions_per_minute: float, start_ms: int) -> Iterator[GeneratedLine]:
    """Endless live lines of the target in order of time, for `fusionlog generate`."""
    target = target_service(seed)
    waiting: list[GeneratedLine] = []
    shift = 0
    while True:
        lines, _ = _target_lines(target, seed, f"live {shift}", _SHIFT_SESSIONS, start_ms, sessions_per_minute)
        # The next shift begins with this one's last session; the lines of both after that are merged.
        start_ms += int(_SHIFT_SESSIONS * 60_000 / sessions_per_minute)
        waiting = sorted([*waiting, *lines], key=lambda line: line.time_ms)
        yield from (line for line in waiting if line.time_ms < start_ms)
        waiting = [line for line in waiting if line.time_ms >= start_ms]
        shift += 1


def _source_lines(seed: int) -> tuple[tuple[str, bool], ...]:
    service = source_service(seed)
    rng = rng_of(seed, "source")
    kinds = [fault.kind for fault in service.faults]
    failing = spread(int(rng.uniform(0.10, 0.15) * SOURCE_SESSIONS), kinds, _AT_LEAST, rng)
    lines = simulate(service, Traffic(SOURCE_SESSIONS, _ms(_SOURCE_START), _RATE, failing), rng)
    return tuple((line.text, bool(line.failure)) for line in lines)


def _target_lines(
    target: Service, seed: int, part: str, sessions: int, start_ms: int, sessions_per_minute: float = _RATE
) -> tuple[tuple[GeneratedLine, ...], dict[str, str]]:
    rng = rng_of(seed, part)
    live = part.startswith("live")
    kinds = [fault.kind for fault in target.faults]
    rate = rng.uniform(0.055, 0.075) if live else rng.uniform(0.05, 0.075)
    traffic = Traffic(
        sessions=sessions,
        start_ms=start_ms,
        sessions_per_minute=sessions_per_minute * rng.uniform(0.8, 1.2),
        failures=spread(int(rate * sessions), kinds, min(_AT_LEAST, int(rate * sessions) // len(kinds)), rng),
        change_at=rng.uniform(0.3, 0.5) if live else 1.0,
        changed_share=rng.uniform(0.5, 0.8) if live else 0.0,
    )
    lines = simulate(target, traffic, rng)
    truth = {line.session: line.failure for line in lines if line.session}
    return tuple(_raw(line, number) for number, line in enumerate(lines)), truth


def _raw(line: SimulatedLine, number: int) -> GeneratedLine:
    """Lines of a session go to one partition, the others to all in turn."""
    partition = (zlib.crc32(line.session.encode()) if line.session else number) % PARTITIONS
    return GeneratedLine(line.text, line.time_ms, partition, line.session)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
