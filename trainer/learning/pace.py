"""The pace of a training: how large the next step is, and when training ends."""

from collections.abc import Sequence

import numpy as np

_WARM_UP, _COOL_DOWN = 0.1, 0.3
"""Shares of the longest training in which the steps grow, and shrink."""
_SPAN = 50
"""Batches over which losses are averaged: the loss of one batch says little."""
_LEAST_GAIN = 0.03
"""Share by which the mean loss must fall from one span to the next for training to go on at full pace. With recorded
answers about a work flow of 18,000 distinct windows the loss ended after 250 of 500 batches, with those about a
supercomputer it fell to the end."""


class Pace:
    """Steps grow, stay until the loss falls no more, and shrink to the end.

    Args:
        longest: number of batches at most.
    """

    def __init__(self, longest: int) -> None:
        self._warm_up = max(1, round(_WARM_UP * longest))
        self._cool_down = max(1, round(_COOL_DOWN * longest))
        self._last_full = longest - self._cool_down
        self._step = 0
        self._longest = longest
        self._shrinks_from: int | None = None

    def next(self, losses: Sequence[float]) -> float | None:
        """Size of the next step as a share of the largest, given the losses so far; None at the end."""
        step, self._step = self._step, self._step + 1
        if step >= self._longest:
            return None
        grown = step >= self._warm_up + 2 * _SPAN  # before, the loss depends on the size of the steps
        if self._shrinks_from is None and (step >= self._last_full or (grown and self._ended(losses))):
            self._shrinks_from = step
        if self._shrinks_from is not None:
            left = self._shrinks_from + self._cool_down - step
            return left / self._cool_down if left > 0 else None
        return min(1.0, (step + 1) / self._warm_up)

    def _ended(self, losses: Sequence[float]) -> bool:
        """Whether the mean loss of the last span is hardly below that of the span before."""
        if len(losses) % _SPAN:
            return False
        before, last = np.mean(losses[-2 * _SPAN : -_SPAN]), np.mean(losses[-_SPAN:])
        return bool(last > (1.0 - _LEAST_GAIN) * before)
