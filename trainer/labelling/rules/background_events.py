"""Which lines are tied to what a window is doing, and which are chatter that comes anywhere.

A symptom follows the step that failed; a heartbeat, a cache refresh or a clock correction follows whatever came before.
The sign is how often two appearances of a line follow the same event, beside how often two lines at random do.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from trainer.data.signatures import Runs

Floats = npt.NDArray[np.float64]

_TIED = 0.35
"""Two appearances in three follow different events, and the line still counts as wholly tied to its place."""
_FEW = 4
"""Appearances below which nothing can be said."""


def tied(windows: Sequence[Runs], weights: Sequence[float], events: Sequence[str]) -> Floats:
    """[E] 0 for chatter to 1 for lines that are tied to a place, 1 also where nothing can be said.

    Args:
        windows: distinct windows.
        weights: windows of each distinct one.
        events: the E events.
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
    if not 0.0 < base < _TIED:
        return np.ones(len(events))
    shares = np.array([max(_same(before[event]), base / 2.0) for event in events])
    scale: Floats = np.log(shares / base) / np.log(_TIED / base)
    few = np.array([sum(before[event].values()) < _FEW for event in events])
    return np.where(few, 1.0, np.clip(scale, 0.0, 1.0))


def _same(counts: Mapping[str, float]) -> float:
    """Chance that two different appearances follow the same event; unbiased for few appearances."""
    total = sum(counts.values())
    pairs = total * (total - 1.0)
    return sum(count * (count - 1.0) for count in counts.values()) / pairs if pairs > 0.0 else 0.0
