"""A path for counts beside the network: a logistic regression on how many lines of each event a window has.

A recurrent network learns amounts poorly from few labels; a regression on counts learns them well, but knows neither
order nor new events. A window's logit is the mean of both (docs/method.md#the-small-model).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.model.runs import Runs, counts_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EventCounts:
    """How many lines of which event windows have: one entry for each event of each window, in order of the windows.

    Attributes:
        windows: number n of windows.
        window: [k] number of the window, 0 to n - 1.
        event: [k] row of the event.
        log_lines: [k] ln(1 + lines).
    """

    windows: int
    window: Ints
    event: Ints
    log_lines: Floats

    @classmethod
    def of(cls, windows: Sequence[Runs], row_of: Mapping[str, int]) -> "EventCounts":
        """Counts of windows; events without a row are left out."""
        entries = [
            (number, row, lines)
            for number, runs in enumerate(windows)
            for event, lines in counts_of(runs).items()
            if (row := row_of.get(event)) is not None
        ]
        table = np.array(entries, np.int64).reshape(-1, 3)
        return cls(len(windows), table[:, 0], table[:, 1], np.log1p(table[:, 2].astype(np.float64)))

    def sums(self, of_log_lines: Floats, of_presence: Floats) -> Floats:
        """[n] sum over a window's events of weight * ln(1 + lines) and of weight; both weights are [events]."""
        values = of_log_lines[self.event] * self.log_lines + of_presence[self.event]
        found: Floats = np.bincount(self.window, weights=values, minlength=self.windows).astype(np.float64)
        return found


@dataclass(frozen=True)
class CountPath:
    """The regression.

    Attributes:
        weights: float32 [events, 2], of ln(1 + lines) and of presence. Events without a row count nothing.
        bias: logit of a window without lines.
    """

    weights: npt.NDArray[np.float32]
    bias: float

    def logits(self, counts: EventCounts) -> Floats:
        """[n] logits of windows."""
        return counts.sums(*self.weights.astype(np.float64).T) + self.bias


def joined(network: Floats, counts: Floats) -> Floats:
    """[n] logits of windows from the logits of both paths."""
    mean: Floats = 0.5 * (network + counts)
    return mean
