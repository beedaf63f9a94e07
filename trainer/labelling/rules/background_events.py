"""Context dependence of events: which depend on what the window does, and which are background events.

A symptom follows the step that failed. A background event (a heartbeat, a cache refresh, a clock correction) follows
whatever event comes before it. The measure is how often two occurrences of an event follow the same event, relative to
how often two random events do.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from detector.model.runs import Runs

Floats = npt.NDArray[np.float64]

_DEPENDENT = 0.35
"""Chance of following the same event from which an event counts as fully dependent on its context."""
_FEW = 4
"""Occurrences below which the dependence is unknown."""


def context_dependence(windows: Sequence[Runs], weights: Sequence[float], events: Sequence[str]) -> Floats:
    """[E] from 0 for background events to 1 for events that depend on their context; 1 where it is unknown.

    `weights` are the numbers of windows of each distinct one.
    """
    before: dict[str, dict[str, float]] = {event: {} for event in events}
    anywhere: dict[str, float] = {}
    for runs, weight in zip(windows, weights, strict=True):
        previous = ""
        for event, _ in runs:
            follows = before[event]
            follows[previous] = follows.get(previous, 0.0) + weight
            anywhere[previous] = anywhere.get(previous, 0.0) + weight
            previous = event
    base = _same(anywhere)
    if not 0.0 < base < _DEPENDENT:
        return np.ones(len(events))
    shares = np.array([max(_same(before[event]), base / 2.0) for event in events])
    scale: Floats = np.log(shares / base) / np.log(_DEPENDENT / base)
    few = np.array([sum(before[event].values()) < _FEW for event in events])
    return np.where(few, 1.0, np.clip(scale, 0.0, 1.0))


def _same(counts: Mapping[str, float]) -> float:
    """Chance that two different occurrences follow the same event; unbiased for few occurrences."""
    total = sum(counts.values())
    pairs = total * (total - 1.0)
    return sum(count * (count - 1.0) for count in counts.values()) / pairs if pairs > 0.0 else 0.0
