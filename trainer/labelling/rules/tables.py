"""A corpus as dense tables: which window holds which event, how often, and where first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.model.runs import Runs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ABSENT = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Tables:
    """Dense view of n distinct windows over E events.

    Attributes:
        events: the E event ids, sorted.
        counts: [n, E] lines of each event.
        first: [n, E] run index of the first appearance; `ABSENT` where there is none.
        longest: [n, E] longest run of each event.
        weights: [n] number of windows of each distinct one.
    """

    events: tuple[str, ...]
    counts: Ints
    first: Ints
    longest: Ints
    weights: Floats

    @property
    def present(self) -> Bools:
        """[n, E] whether the window holds the event."""
        return self.counts > 0


def tabulate(windows: Sequence[Runs], weights: Sequence[float], events: Sequence[str] | None = None) -> Tables:
    """Tables of `windows`; events outside `events` (default: all that occur) are left out."""
    known = sorted({event for runs in windows for event, _ in runs}) if events is None else list(events)
    column = {event: index for index, event in enumerate(known)}
    shape = (len(windows), len(known))
    counts, longest = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    first = np.full(shape, ABSENT, np.int64)
    for row, runs in enumerate(windows):
        for position, (event, length) in enumerate(runs):
            index = column.get(event)
            if index is None:
                continue
            counts[row, index] += length
            longest[row, index] = max(longest[row, index], length)
            first[row, index] = min(first[row, index], position)
    return Tables(tuple(known), counts, first, longest, np.asarray(weights, np.float64))
