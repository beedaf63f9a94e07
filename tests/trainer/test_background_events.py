from collections.abc import Callable
from random import Random

from trainer.labelling.rules.background_events import context_dependence
from trainer.testing import course, runs_of


def _dependence(event: str, place: Callable[[list[str], Random], int]) -> float:
    """Context dependence of `event`, which `place` inserts into each twentieth window."""
    rng = Random(5)
    windows = [course(rng) for _ in range(400)]
    for window in windows[::20]:
        window.insert(place(window, rng), event)
    events = sorted({name for window in windows for name in window})
    found = context_dependence([runs_of(window) for window in windows], [1.0] * len(windows), events)
    return float(found[events.index(event)])


def test_an_event_after_one_step_depends_on_its_context_and_one_anywhere_does_not() -> None:
    """A symptom follows the step that failed; a background event follows whatever comes before it."""
    behind = _dependence("late", lambda window, _rng: window.index("pack") + 1)
    anywhere = _dependence("late", lambda window, rng: rng.randint(1, len(window)))
    assert behind == 1.0
    assert anywhere < 0.5


def test_too_few_occurrences_count_as_dependent() -> None:
    """The dependence of an event that occurs twice is unknown, so it keeps its weight."""
    windows = [runs_of(["a", "b", "c"] * 3)] * 30 + [runs_of(["a", "x"]), runs_of(["b", "x"])]
    assert context_dependence(windows, [1.0] * len(windows), ["a", "b", "c", "x"])[3] == 1.0


def test_windows_of_one_line_have_no_background_events() -> None:
    """Where windows hold one line each, every event comes first, and none counts as a background event."""
    windows = [runs_of([event]) for event in "abc"]
    assert context_dependence(windows, [10.0, 5.0, 5.0], ["a", "b", "c"]).tolist() == [1.0, 1.0, 1.0]
