"""What can go wrong with a session of a starter system; the demo has faults of its own (`loggen.demo.faults`)."""

from dataclasses import dataclass
from random import Random

from loggen.workflow import Chain, LogStatement, Part, walk


@dataclass(frozen=True)
class Break:
    """The symptom takes the place of one of the steps; `ending` takes the place of the rest of the session."""

    steps: tuple[str, ...]
    symptom: Part
    ending: Part | None = None

    def __call__(self, statements: list[LogStatement], rng: Random) -> list[LogStatement] | None:
        """The broken session."""
        places = [index for index, statement in enumerate(statements) if statement.step in self.steps]
        if not places:
            return None
        return [*statements[: rng.choice(places)], *walk(self.symptom, rng), *walk(self.ending or Chain(()), rng)]


@dataclass(frozen=True)
class Disturbance:
    """After one of the steps the symptom appears; the session continues normally."""

    steps: tuple[str, ...]
    symptom: Part

    def __call__(self, statements: list[LogStatement], rng: Random) -> list[LogStatement] | None:
        """The session with the symptom inside."""
        places = [index for index, statement in enumerate(statements) if statement.step in self.steps]
        if not places:
            return None
        place = rng.choice(places) + 1
        return [*statements[:place], *walk(self.symptom, rng), *statements[place:]]


@dataclass(frozen=True)
class Overtaking:
    """The step `late`, which always follows `early`, comes just before it: normal lines in the wrong order."""

    late: str
    early: str

    def __call__(self, statements: list[LogStatement], _rng: Random) -> list[LogStatement] | None:
        """The reordered session."""
        steps = [statement.step for statement in statements]
        if self.early not in steps or self.late not in steps or steps.index(self.late) < steps.index(self.early):
            return None
        moved = statements[steps.index(self.late)]
        rest = [statement for index, statement in enumerate(statements) if index != steps.index(self.late)]
        place = steps.index(self.early)
        return [*rest[:place], moved, *rest[place:]]


@dataclass(frozen=True)
class Burst:
    """The given steps are repeated `low` to `high` times: normal lines in the wrong number."""

    steps: tuple[str, ...]
    low: int
    high: int

    def __call__(self, statements: list[LogStatement], rng: Random) -> list[LogStatement] | None:
        """The session with the repeated lines."""
        found = [step for step in (statement.step for statement in statements) if step in self.steps]
        if not found or found[0] != self.steps[0]:
            return None
        place = max(index for index, statement in enumerate(statements) if statement.step in self.steps) + 1
        by_step = {statement.step: statement for statement in statements}
        again = [by_step[step] for step in self.steps if step in by_step] * rng.randint(self.low, self.high)
        return [*statements[:place], *again, *statements[place:]]


@dataclass(frozen=True)
class Skip:
    """A step that every such session has is absent; no other line changes."""

    step: str

    def __call__(self, statements: list[LogStatement], _rng: Random) -> list[LogStatement] | None:
        """The session without the step."""
        rest = [statement for statement in statements if statement.step != self.step]
        return rest if len(rest) < len(statements) else None
