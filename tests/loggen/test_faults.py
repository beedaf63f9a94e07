import pytest

from loggen.demo.faults import Abort, Degradation, Delay, Loop, Loss, Retry, Truncation
from loggen.engine import rng_of
from loggen.systems.faults import Break, Burst, Disturbance, Overtaking, Skip
from loggen.workflow import Edit, LogStatement


def session(steps: str) -> list[LogStatement]:
    """A session with a line per step."""
    return [LogStatement(step, step) for step in steps.split()]


def edited(edit: Edit, steps: str, seed: int = 1) -> str:
    """The steps of a session after a fault."""
    changed = edit(session(steps), rng_of(seed, "test"))
    assert changed is not None
    return " ".join(statement.step for statement in changed)


BAD, END = LogStatement("bad", ""), LogStatement("end", "")


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (Break(("b",), BAD, END), "a b c", "a bad end"),
        (Disturbance(("b",), BAD), "a b c", "a b bad c"),
        (Overtaking("late", "early"), "a early b late c", "a late early b c"),
        (Burst(("ask", "got"), 2, 2), "a ask got z", "a ask got ask got ask got z"),
        (Skip("b"), "a b c", "a c"),
        (Retry(("b",), BAD, 2, 2, END), "o a b c", "o a bad a bad end"),
        (Abort(("b",), BAD, ("close",)), "a b c d close", "a b bad close"),
        (Degradation(("b",), BAD), "b a c", "b bad a c"),
        (Delay("early", "past"), "a early b past c", "a b past early c"),
        (Loop("b", "d", 2, 2), "a b c d e", "a b c d b c d b c d e"),
        (Loss(("b", "d")), "a b c d e", "a c e"),
        (Truncation(("b",)), "a b c d", "a b"),
    ],
)
def test_a_fault_changes_what_it_says_and_nothing_else(edit: Edit, before: str, after: str) -> None:
    """Each fault leaves exactly the described session."""
    assert edited(edit, before) == after


def test_a_degradation_stays_until_the_end() -> None:
    """From some step on, each such step is followed by the symptom."""
    seen = {edited(Degradation(("b",), BAD), "a b b b c", seed) for seed in range(50)}
    assert seen == {"a b bad b bad b bad c", "a b b bad b bad c", "a b b b bad c"}


@pytest.mark.parametrize(
    "edit",
    [
        Break(("no",), BAD),
        Disturbance(("no",), BAD),
        Overtaking("a", "b"),
        Burst(("no",), 1, 2),
        Skip("no"),
        Retry(("no",), BAD, 1, 2),
        Retry(("a",), BAD, 1, 2),
        Abort(("no",), BAD),
        Degradation(("no",), BAD),
        Delay("b", "a"),
        Loop("b", "a", 1, 2),
        Loss(("a", "no")),
        Truncation(("c",)),
    ],
)
def test_a_fault_that_does_not_fit_asks_for_another_session(edit: Edit) -> None:
    """No session counts as failing while its lines are those of a sound one."""
    assert edit(session("a b c"), rng_of(1, "test")) is None
