"""Runs a described service and emits its interleaved lines; the truth about a line is beside its text, not in it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from loggen.values import fill
from loggen.workflow import Background, Change, Fault, LogStatement, Workflow, walk

_DELAY_SECONDS = 0.6  # delays of shippers, so that lines of different hosts arrive slightly out of order
_DRAWS = 200


@dataclass(frozen=True)
class Stamp:
    """A text and what a layout may put around it; `key` is the session's, "" without one."""

    time_ms: int
    host: str
    level: str
    component: str
    key: str
    text: str


Layout = Callable[[Stamp], str]
"""Formats a whole line."""


@dataclass(frozen=True)
class Service:
    """A described service: its workflows, the lines beside them, its faults and the layout of its lines.

    Attributes:
        key: text of a session's key, with `{…}` for what varies.
        hosts: machines that a session may run on.
        layout: formats a whole line.
        decoys: harmless lines with alarming words, (line, share of sessions).
        noise: harmless lines inside sessions, (line, share of sessions).
    """

    name: str
    key: str
    hosts: tuple[str, ...]
    layout: Layout
    workflows: tuple[Workflow, ...]
    faults: tuple[Fault, ...]
    decoys: tuple[tuple[LogStatement, float], ...] = ()
    noise: tuple[tuple[LogStatement, float], ...] = ()
    background: tuple[Background, ...] = ()
    change: Change = field(default_factory=Change)


@dataclass(frozen=True)
class SimulatedLine:
    """A line and the truth about it: its session ("" for none) and the session's failure kind ("" for none)."""

    time_ms: int
    text: str
    session: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Traffic:
    """How many sessions, how fast, and which of them fail.

    Attributes:
        sessions: how many.
        start_ms: time of the first one.
        sessions_per_minute: mean rate.
        failures: kind → how many sessions fail that way.
        change_at: share of the sessions after which the new version is rolled out, 1.0 for never.
        changed_share: share of the later sessions that the new version serves.
    """

    sessions: int
    start_ms: int
    sessions_per_minute: float
    failures: dict[str, int]
    change_at: float = 1.0
    changed_share: float = 0.0


def rng_of(seed: int, purpose: str) -> Random:
    """A repeatable random number generator for one purpose of one seed, independent of those for other purposes."""
    return Random(f"fusionlog/{seed}/{purpose}")


def simulate(service: Service, traffic: Traffic, rng: Random) -> list[SimulatedLine]:
    """Lines of the traffic in the order in which they reach the log, which is only nearly the order of their times.

    Raises:
        ValueError: a failure kind is not one of the service's, or there are fewer sessions than failures.
    """
    kinds = _plan(service, traffic, rng)
    arrivals: list[tuple[float, int, SimulatedLine]] = []
    start = float(traffic.start_ms)
    for number, fault in enumerate(kinds):
        start += rng.expovariate(traffic.sessions_per_minute / 60_000)
        changed = number >= traffic.change_at * traffic.sessions and rng.random() < traffic.changed_share
        # One delay per session: the lines of a host stay in order.
        delay_ms = rng.uniform(0, 1000 * _DELAY_SECONDS)
        for line in _session(service, fault, start, changed, rng):
            arrivals.append((line.time_ms + delay_ms, len(arrivals), line))
    for line in _background(service, traffic.start_ms, start, rng):
        arrivals.append((float(line.time_ms), len(arrivals), line))
    return [line for _, _, line in sorted(arrivals, key=lambda arrival: arrival[:2])]


def spread(total: int, kinds: Sequence[str], at_least: int, rng: Random) -> dict[str, int]:
    """Distribute failures unevenly over kinds, at least `at_least` to each."""
    counts = dict.fromkeys(kinds, at_least)
    weights = [rng.uniform(0.6, 1.4) for _ in kinds]
    for kind in rng.choices(list(kinds), weights, k=max(0, total - at_least * len(kinds))):
        counts[kind] += 1
    return counts


def _plan(service: Service, traffic: Traffic, rng: Random) -> list[Fault | None]:
    known = {fault.kind: fault for fault in service.faults}
    unknown = sorted(set(traffic.failures) - set(known))
    if unknown:
        raise ValueError(f"failure kinds must be of {sorted(known)}, got {unknown}")
    plan: list[Fault | None] = [known[kind] for kind, count in traffic.failures.items() for _ in range(count)]
    if len(plan) > traffic.sessions:
        raise ValueError(f"failing sessions must be at most {traffic.sessions}, got {len(plan)}")
    plan += [None] * (traffic.sessions - len(plan))
    rng.shuffle(plan)
    return plan


def _session(
    service: Service, fault: Fault | None, start_ms: float, changed: bool, rng: Random
) -> Iterator[SimulatedLine]:
    workflow, statements = _draw_session(service, fault, rng)
    if changed:
        statements = service.change.apply(statements, rng)
    key = fill(service.key, rng, {})
    values = {name: fill(text, rng, {}) for name, text in workflow.values.items()}
    host = rng.choice(service.hosts)
    time_ms = start_ms
    for statement in statements:
        time_ms += rng.expovariate(1 / (1000 * statement.pause_seconds)) + 1
        text = fill(statement.text, rng, values)
        stamp = Stamp(int(time_ms), host, statement.level, statement.component, key, text)
        yield SimulatedLine(int(time_ms), service.layout(stamp), key, fault.kind if fault else "")


def _draw_session(service: Service, fault: Fault | None, rng: Random) -> tuple[Workflow, list[LogStatement]]:
    for _ in range(_DRAWS):
        workflow = rng.choices(service.workflows, [workflow.weight for workflow in service.workflows])[0]
        statements: list[LogStatement] | None = list(walk(workflow.body, rng))
        if fault is not None:
            statements = fault.edit(statements or [], rng)
        if statements:
            return workflow, _with_extras(statements, (*service.decoys, *service.noise), rng)
    kind = fault.kind if fault else "none"
    raise ValueError(f"fault must fit one of the workflows of {service.name}, got {kind} that fits none")


def _with_extras(
    statements: list[LogStatement], extras: Sequence[tuple[LogStatement, float]], rng: Random
) -> list[LogStatement]:
    """Extra lines at random places, never before the first line of the session."""
    result = list(statements)
    for statement, share in extras:
        if rng.random() < share:
            result.insert(rng.randint(1, len(result)), statement)
    return result


def _background(service: Service, start_ms: float, end_ms: float, rng: Random) -> Iterator[SimulatedLine]:
    for entry in service.background:
        time_ms = start_ms
        while (time_ms := time_ms + rng.expovariate(entry.per_minute / 60_000)) < end_ms:
            statement = entry.statement
            text = fill(statement.text, rng, {})
            stamp = Stamp(int(time_ms), rng.choice(service.hosts), statement.level, statement.component, "", text)
            yield SimulatedLine(int(time_ms), service.layout(stamp))
