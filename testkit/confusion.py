"""Precision, recall and F1 of verdicts on windows, for the demo and the benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Confusion:
    """Counts of windows: alerted and anomalous, alerted only, anomalous only, neither."""

    hits: int
    false_alarms: int
    misses: int
    quiet: int

    @property
    def precision(self) -> float:
        """Share of alerts that are right; 0 without alerts."""
        return _ratio(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        """Share of anomalies that are found; 0 without anomalies."""
        return _ratio(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)

    @property
    def false_positive_rate(self) -> float:
        """Share of normal windows that raise an alert."""
        return _ratio(self.false_alarms, self.false_alarms + self.quiet)


def confusion(predicted: Sequence[bool], truth: Sequence[bool]) -> Confusion:
    """Count the four cases."""
    pairs = list(zip(predicted, truth, strict=True))
    return Confusion(
        hits=pairs.count((True, True)),
        false_alarms=pairs.count((True, False)),
        misses=pairs.count((False, True)),
        quiet=pairs.count((False, False)),
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
