"""Labelled lines of all starter systems in one stream, and their system's settings."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random

from detector.system import SystemSpec, WindowSpec
from loggen.engine import Layout, Service, SimulatedLine, Stamp, Traffic, rng_of, simulate, spread
from loggen.systems.broker import broker
from loggen.systems.orders import orders
from loggen.systems.scheduler import scheduler
from loggen.systems.storage import storage
from trainer.data.lines import SourceLine

SPEC = SystemSpec(
    name="starter",
    format="raw",
    layout="custom",
    line_pattern=r"^(?P<time>\S+) \S+ (?:\[(?P<key>[^\]\s]+)\] )?(?P<message>.*)$",
    time_format="iso",
    window=WindowSpec(kind="session", idle_seconds=120, max_lines=256),
)
SESSIONS = 600
FAILING_SHARE = 0.12
AT_LEAST = 6
SESSIONS_PER_MINUTE = 30.0
SYSTEMS: tuple[Callable[[Random, Layout], Service], ...] = (storage, orders, scheduler, broker)
_START_MS = int(datetime(2025, 2, 3, 8, tzinfo=UTC).timestamp() * 1000)


def starter_source(seed: int) -> Iterator[SourceLine]:
    """Labelled lines in order of time; a seed gives the same bytes each time."""
    for offset, line in enumerate(starter_lines(seed)):
        yield SourceLine(line.text.encode(), line.time_ms, "starter", 0, offset, bool(line.failure))


def starter_lines(seed: int) -> list[SimulatedLine]:
    """Lines of all starter systems, each with its failure."""
    lines: list[SimulatedLine] = []
    for system in SYSTEMS:
        service = system(rng_of(seed, f"starter {system.__name__} words"), layout)
        rng = rng_of(seed, f"starter {service.name}")
        kinds = [fault.kind for fault in service.faults]
        failing = spread(int(FAILING_SHARE * SESSIONS), kinds, AT_LEAST, rng)
        lines += simulate(service, Traffic(SESSIONS, _START_MS, SESSIONS_PER_MINUTE, failing), rng)
    return sorted(lines, key=lambda line: line.time_ms)


def layout(stamp: Stamp) -> str:
    """`2025-02-03T08:00:01.250Z dn01 [blk-1f00ba12] INFO store.Pipe: text`."""
    time = datetime.fromtimestamp(stamp.time_ms / 1000, tz=UTC)
    clock = f"{time:%Y-%m-%dT%H:%M:%S}.{stamp.time_ms % 1000:03d}Z"
    key = f"[{stamp.key}] " if stamp.key else ""
    return f"{clock} {stamp.host} {key}{stamp.level.upper()} {stamp.component}: {stamp.text}"
