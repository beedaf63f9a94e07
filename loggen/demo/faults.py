"""What can go wrong with a session of the demo's systems: other failures than those of the starter systems."""

from dataclasses import dataclass
from random import Random

from loggen.workflow import Chain, LogStatement, Part, walk


@dataclass(frozen=True)
class Retry:
    """Before one of the steps the session is stuck: its last line and the symptom alternate, then comes `ending`."""

    steps: tuple[str, ...]
    symptom: Part
    low: int
    high: int
    ending: Part | None = None

    def __call__(self, statements: list[LogStatement], rng: Random) -> list[LogStatement] | None:
        """The session that gives up after `low` to `high` attempts."""
        places = [index for index, statement in enumerate(statements) if index and statement.step in self.steps]
        if not places:
            return None
        place = rng.choice(places)
        stuck = list(statements[: place - 1])
        for _ in range(rng.randint(self.low, self.high)):
            stuck += [statements[place - 1], *walk(self.symptom, rng)]
        return [*stuck, *walk(self.ending or Chain(()), rng)]


@dataclass(frozen=True)
class Abort:
    """After one of the steps the symptom appears; of what should follow, only the `closing` steps remain."""

    after: tuple[str, ...]
    symptom: Part
    closing: tuple[str, ...] = ()

    def __call__(self, statements: list[LogStatement], rng: Random) -> list[LogStatement] | None:
        """The aborted session."""
        places = [index + 1 for index, statement in enumerate(statements) if statement.step in self.after]
        if not places:
            return None
        place = rng.choice(places)
        closing = [statement for statement in statements[place:] if statement.step in self.closing]
        return [*statements[:place], *walk(self.symptom, rng), *closing]


@dataclass(frozen=True)
class Degradation:
    """From one of the steps on, the symptom appears after every one of them; nothing else changes."""

    steps: tuple[str, ...]
    symptom: Part

    def __call__(self, statements: list[LogStatement], rng: Random) -> list[LogStatement] | None:
        """The session with all its symptoms."""
        places = [index for index, statement in enumerate(statements) if statement.step in self.steps]
        if not places:
            return None
        start = rng.choice(places)
        degraded: list[LogStatement] = []
        for index, statement in enumerate(statements):
            degraded.append(statement)
            if index >= start and index in places:
                degraded += walk(self.symptom, rng)
        return degraded


@dataclass(frozen=True)
class Delay:
    """The step `early` comes only after the step `past`: all lines are there, one of them too late."""

    early: str
    past: str

    def __call__(self, statements: list[LogStatement], _rng: Random) -> list[LogStatement] | None:
        """The session with the delayed line."""
        steps = [statement.step for statement in statements]
        if self.early not in steps or self.past not in steps or steps.index(self.early) > steps.index(self.past):
            return None
        begin, end = steps.index(self.early), steps.index(self.past) + 1
        return [*statements[:begin], *statements[begin + 1 : end], statements[begin], *statements[end:]]


@dataclass(frozen=True)
class Loop:
    """Everything from the first `first` to the last `last` happens again and again, `low` to `high` more times."""

    first: str
    last: str
    low: int
    high: int

    def __call__(self, statements: list[LogStatement], rng: Random) -> list[LogStatement] | None:
        """The session with its loop."""
        steps = [statement.step for statement in statements]
        if self.first not in steps or self.last not in steps[steps.index(self.first) :]:
            return None
        begin, end = steps.index(self.first), len(steps) - steps[::-1].index(self.last)
        return [*statements[:end], *statements[begin:end] * rng.randint(self.low, self.high), *statements[end:]]


@dataclass(frozen=True)
class Loss:
    """The lines of several steps are absent, at least two of them."""

    steps: tuple[str, ...]

    def __call__(self, statements: list[LogStatement], _rng: Random) -> list[LogStatement] | None:
        """The session without the steps."""
        rest = [statement for statement in statements if statement.step not in self.steps]
        return rest if len(rest) < len(statements) - 1 else None


@dataclass(frozen=True)
class Truncation:
    """The session ends after one of the steps, although more should follow; no line says why."""

    after: tuple[str, ...]

    def __call__(self, statements: list[LogStatement], rng: Random) -> list[LogStatement] | None:
        """The beginning of the session."""
        places = [index + 1 for index, statement in enumerate(statements[:-1]) if statement.step in self.after]
        return statements[: rng.choice(places)] if places else None
