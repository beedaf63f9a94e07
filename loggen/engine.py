"""The engine: runs a described service and emits its interleaved lines, each with the truth beside it, never in it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from loggen.values import fill
from loggen.workflow import Background, Change, Fault, Say, Workflow, walk

_DELAY_SECONDS = 0.6  # shippers differ by that much, so lines of different hosts come slightly out of order
_DRAWS = 200


@dataclass(frozen=True)
class Stamp:
    """What a layout may put around a text: time, host, level, component and the session's key ("" without one)."""

    time_ms: int
    host: str
    level: str
    component: str
    key: str
    text: str


Layout = Callable[[Stamp], str]
"""Makes a whole line of a text and what belongs around it."""


@dataclass(frozen=True)
class Service:
    """A described service: what it does, what it says meanwhile, how it fails, how its lines look.

    Attributes:
        key: text of a session's key, with fields.
        hosts: machines that a session may run on.
        layout: makes a whole line.
        scares: harmless lines with alarming words, (line, share of sessions).
        noise: harmless lines inside sessions, (line, share of sessions).
    """

    name: str
    key: str
    hosts: tuple[str, ...]
    layout: Layout
    workflows: tuple[Workflow, ...]
    faults: tuple[Fault, ...]
    scares: tuple[tuple[Say, float], ...] = ()
    noise: tuple[tuple[Say, float], ...] = ()
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
    """How much of it, from when on.

    Attributes:
        sessions: how many.
        start_ms: time of the first one.
        sessions_per_minute: mean rate; with sessions of a minute, that many are open at once.
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


def dice_of(seed: int, purpose: str) -> Random:
    """Independent, repeatable dice for one purpose of one seed."""
    return Random(f"fusionlog/{seed}/{purpose}")


def simulate(service: Service, traffic: Traffic, dice: Random) -> list[SimulatedLine]:
    """Lines of the traffic in the order in which they reach the log, times not quite sorted, as in life.

    Raises:
        ValueError: a failure kind is not one of the service's, or more sessions are to fail than there are.
    """
    kinds = _plan(service, traffic, dice)
    arrivals: list[tuple[float, int, SimulatedLine]] = []
    start = float(traffic.start_ms)
    for number, fault in enumerate(kinds):
        start += dice.expovariate(traffic.sessions_per_minute / 60_000)
        changed = number >= traffic.change_at * traffic.sessions and dice.random() < traffic.changed_share
        # One delay a session: a host's own lines stay in order.
        delay_ms = dice.uniform(0, 1000 * _DELAY_SECONDS)
        for line in _session(service, fault, start, changed, dice):
            arrivals.append((line.time_ms + delay_ms, len(arrivals), line))
    for line in _background(service.background, service, traffic.start_ms, start, dice):
        arrivals.append((float(line.time_ms), len(arrivals), line))
    return [line for _, _, line in sorted(arrivals, key=lambda arrival: arrival[:2])]


def spread(total: int, kinds: Sequence[str], at_least: int, dice: Random) -> dict[str, int]:
    """Share a number of failures among kinds unevenly, each getting at least `at_least`."""
    counts = dict.fromkeys(kinds, at_least)
    weights = [dice.uniform(0.6, 1.4) for _ in kinds]
    for kind in dice.choices(list(kinds), weights, k=max(0, total - at_least * len(kinds))):
        counts[kind] += 1
    return counts


def _plan(service: Service, traffic: Traffic, dice: Random) -> list[Fault | None]:
    known = {fault.kind: fault for fault in service.faults}
    unknown = sorted(set(traffic.failures) - set(known))
    if unknown:
        raise ValueError(f"failure kinds must be of {sorted(known)}, got {unknown}")
    plan: list[Fault | None] = [known[kind] for kind, count in traffic.failures.items() for _ in range(count)]
    if len(plan) > traffic.sessions:
        raise ValueError(f"failing sessions must be at most {traffic.sessions}, got {len(plan)}")
    plan += [None] * (traffic.sessions - len(plan))
    dice.shuffle(plan)
    return plan


def _session(
    service: Service, fault: Fault | None, start_ms: float, changed: bool, dice: Random
) -> Iterator[SimulatedLine]:
    workflow, says = _draw_session(service, fault, dice)
    if changed:
        says = service.change.apply(says, dice)
    key = fill(service.key, dice, {})
    values = {name: fill(text, dice, {}) for name, text in workflow.values.items()}
    host = dice.choice(service.hosts)
    time_ms = start_ms
    for say in says:
        time_ms += dice.expovariate(1 / (1000 * say.pause_seconds)) + 1
        text = fill(say.text, dice, values)
        stamp = Stamp(int(time_ms), host, say.level, say.component, key, text)
        yield SimulatedLine(int(time_ms), service.layout(stamp), key, fault.kind if fault else "")


def _draw_session(service: Service, fault: Fault | None, dice: Random) -> tuple[Workflow, list[Say]]:
    for _ in range(_DRAWS):
        workflow = dice.choices(service.workflows, [workflow.weight for workflow in service.workflows])[0]
        says: list[Say] | None = list(walk(workflow.body, dice))
        if fault is not None:
            says = fault.edit(says or [], dice)
        if says:
            return workflow, _sprinkle(says, (*service.scares, *service.noise), dice)
    kind = fault.kind if fault else "none"
    raise ValueError(f"fault must fit one of the workflows of {service.name}, got {kind} that fits none")


def _sprinkle(says: list[Say], extras: Sequence[tuple[Say, float]], dice: Random) -> list[Say]:
    """Extra lines at random places, never before the first line of the session."""
    sprinkled = list(says)
    for say, share in extras:
        if dice.random() < share:
            sprinkled.insert(dice.randint(1, len(sprinkled)), say)
    return sprinkled


def _background(
    entries: Sequence[Background], service: Service, start_ms: float, end_ms: float, dice: Random
) -> Iterator[SimulatedLine]:
    for entry in entries:
        time_ms = start_ms
        while (time_ms := time_ms + dice.expovariate(entry.per_minute / 60_000)) < end_ms:
            text = fill(entry.say.text, dice, {})
            stamp = Stamp(int(time_ms), dice.choice(service.hosts), entry.say.level, entry.say.component, "", text)
            yield SimulatedLine(int(time_ms), service.layout(stamp))
