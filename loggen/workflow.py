"""The small language that describes a service: which lines a session writes, in which order, how often."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random


@dataclass(frozen=True)
class LogStatement:
    """One log line of a session.

    Attributes:
        step: what the line stands for, so that faults and version changes can find it.
        text: the line, with `{…}` for what varies (see `loggen.values`).
        level: `debug`, `info`, `warn`, `error` or `fatal`.
        component: the part of the service that writes it.
        pause_seconds: mean time since the line before it.
    """

    step: str
    text: str
    level: str = "info"
    component: str = ""
    pause_seconds: float = 0.5


@dataclass(frozen=True)
class Chain:
    """Parts one after another."""

    parts: tuple["Part", ...]


@dataclass(frozen=True)
class OneOf:
    """One of several parts, by weight."""

    choices: tuple[tuple[float, "Part"], ...]


@dataclass(frozen=True)
class Maybe:
    """A part that occurs with a probability."""

    probability: float
    part: "Part"


@dataclass(frozen=True)
class Repeat:
    """A part `low` to `high` times."""

    low: int
    high: int
    part: "Part"


@dataclass(frozen=True)
class Mixed:
    """Parts that run side by side: each keeps its own order, their lines interleave."""

    parts: tuple["Part", ...]


Part = LogStatement | Chain | OneOf | Maybe | Repeat | Mixed


def chain(*parts: Part) -> Chain:
    """Parts one after another."""
    return Chain(parts)


def one_of(*choices: tuple[float, Part]) -> OneOf:
    """One of several parts, by weight."""
    return OneOf(choices)


def mixed(*parts: Part) -> Mixed:
    """Parts side by side."""
    return Mixed(parts)


def walk(part: Part, rng: Random) -> Iterator[LogStatement]:
    """The lines of one run through a part."""
    match part:
        case LogStatement():
            yield part
        case Chain(parts):
            for inner in parts:
                yield from walk(inner, rng)
        case OneOf(choices):
            yield from walk(rng.choices([inner for _, inner in choices], [weight for weight, _ in choices])[0], rng)
        case Maybe(probability, inner):
            if rng.random() < probability:
                yield from walk(inner, rng)
        case Repeat(low, high, inner):
            for _ in range(rng.randint(low, high)):
                yield from walk(inner, rng)
        case Mixed(parts):
            yield from _interleave([list(walk(inner, rng)) for inner in parts], rng)


def _interleave(lanes: list[list[LogStatement]], rng: Random) -> Iterator[LogStatement]:
    positions = [0] * len(lanes)
    # A lane is drawn by how many lines it still has, so every interleaving is equally likely.
    order = [lane for lane, statements in enumerate(lanes) for _ in statements]
    rng.shuffle(order)
    for lane in order:
        yield lanes[lane][positions[lane]]
        positions[lane] += 1


Edit = Callable[[list[LogStatement], Random], list[LogStatement] | None]
"""What a fault does to a session's lines; None where it does not fit the session (another one is drawn)."""


@dataclass(frozen=True)
class Fault:
    """A kind of failure.

    Attributes:
        kind: its name, which the truth carries.
        shows: what makes it visible: `words`, `order`, `count` or `missing`.
        edit: what it does to a session's lines.
    """

    kind: str
    shows: str
    edit: Edit


@dataclass(frozen=True)
class Workflow:
    """One thing that the service does. `values` are drawn once per session; `{$name}` in its lines stands for them."""

    body: Part
    weight: float = 1.0
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What a new version of the service writes differently; all of it is harmless.

    Attributes:
        rename: step → its new text.
        add: (step, new line after it, share of the sessions with the step that get the line).
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    add: tuple[tuple[str, LogStatement, float], ...] = ()

    def apply(self, statements: list[LogStatement], rng: Random) -> list[LogStatement]:
        """The session as the new version writes it."""
        chosen = {step: statement for step, statement, share in self.add if rng.random() < share}
        changed: list[LogStatement] = []
        for statement in statements:
            text = self.rename.get(statement.step, statement.text)
            changed.append(replace(statement, text=text))
            if statement.step in chosen:
                changed.append(chosen.pop(statement.step))
        return changed


@dataclass(frozen=True)
class Background:
    """A line that belongs to no session, written at a mean rate per minute."""

    statement: LogStatement
    per_minute: float
