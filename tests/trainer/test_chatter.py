from random import Random

import numpy as np

from tests.trainer.miniature import course, runs_of
from trainer.labelling.rules.background_events import tied


def _tied(event, place):
    """How tied `event` is when `place` says where it is put into each twentieth window."""
    dice = Random(5)
    windows = [course(dice) for _ in range(400)]
    for window in windows[::20]:
        window.insert(place(window, dice), event)
    events = sorted({name for window in windows for name in window})
    found = tied([runs_of(window) for window in windows], np.ones(len(windows)), events)
    return found[events.index(event)]


def test_a_line_that_follows_one_step_is_tied_and_one_that_comes_anywhere_is_not():
    """A symptom stands behind the step that it is of; chatter stands behind whatever came before."""
    behind = _tied("late", lambda window, _dice: window.index("pack") + 1)
    anywhere = _tied("late", lambda window, dice: dice.randint(1, len(window)))
    assert behind == 1.0
    assert anywhere < 0.5


def test_too_few_appearances_say_nothing():
    """A line that came twice counts as tied: nobody can tell."""
    windows = [runs_of(["a", "b", "c"] * 3)] * 30 + [runs_of(["a", "x"]), runs_of(["b", "x"])]
    assert tied(windows, [1.0] * len(windows), ["a", "b", "c", "x"])[3] == 1.0


def test_windows_without_shape_have_no_chatter():
    """Where windows hold one line each, everything follows the same nothing, and no line is held to be chatter."""
    windows = [runs_of([event]) for event in "abc"]
    assert tied(windows, [10.0, 5.0, 5.0], ["a", "b", "c"]).tolist() == [1.0, 1.0, 1.0]
