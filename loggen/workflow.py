"""The small language in which a service's behaviour is written: what a session says, in which order, how often."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True)
class Say:
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
    """A part that is there with a probability."""

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


Part = Say | Chain | OneOf | Maybe | Repeat | Mixed


def chain(*parts: Part) -> Chain:
    """Parts one after another."""
    return Chain(parts)


def one_of(*choices: tuple[float, Part]) -> OneOf:
    """One of several parts, by weight."""
    return OneOf(choices)


def mixed(*parts: Part) -> Mixed:
    """Parts side by side."""
    return Mixed(parts)


def walk(part: Part, dice: Random) -> Iterator[Say]:
    """The lines of one run through a part."""
    match part:
        case Say():
            yield part
        case Chain(parts):
            for inner in parts:
                yield from walk(inner, dice)
        case OneOf(choices):
            yield from walk(dice.choices([inner for _, inner in choices], [weight for weight, _ in choices])[0], dice)
        case Maybe(probability, inner):
            if dice.random() < probability:
                yield from walk(inner, dice)
        case Repeat(low, high, inner):
            for _ in range(dice.randint(low, high)):
                yield from walk(inner, dice)
        case Mixed(parts):
            yield from _interleave([list(walk(inner, dice)) for inner in parts], dice)


def _interleave(lanes: list[list[Say]], dice: Random) -> Iterator[Say]:
    positions = [0] * len(lanes)
    # A lane is drawn by how many lines it still has, so every interleaving is equally likely.
    order = [lane for lane, says in enumerate(lanes) for _ in says]
    dice.shuffle(order)
    for lane in order:
        yield lanes[lane][positions[lane]]
        positions[lane] += 1


Edit = Callable[[list[Say], Random], list[Say] | None]
"""What a fault does to a session's lines; None when the session has no place for it (another one is drawn)."""


@dataclass(frozen=True)
class Fault:
    """A kind of failure.

    Attributes:
        kind: its name, which the truth carries.
        shows: by what it can be seen: `words`, `order`, `count` or `missing`.
        edit: what it does to a session's lines.
    """

    kind: str
    shows: str
    edit: Edit


@dataclass(frozen=True)
class Workflow:
    """One thing that the service does. `values` are drawn once a session and named `{$name}` in its lines."""

    name: str
    body: Part
    weight: float = 1.0
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What a new version of the service says otherwise, all of it harmless.

    Attributes:
        rename: a step's new wording.
        add: (after which step, the new line, in which share of the sessions that have the step).
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    add: tuple[tuple[str, Say, float], ...] = ()

    def apply(self, says: list[Say], dice: Random) -> list[Say]:
        """The lines as the new version writes them."""
        chosen = {step: say for step, say, share in self.add if dice.random() < share}
        changed: list[Say] = []
        for say in says:
            text = self.rename.get(say.step, say.text)
            changed.append(Say(say.step, text, say.level, say.component, say.pause_seconds))
            if say.step in chosen:
                changed.append(chosen.pop(say.step))
        return changed


@dataclass(frozen=True)
class Background:
    """A line that belongs to no session, so many times a minute."""

    say: Say
    per_minute: float
