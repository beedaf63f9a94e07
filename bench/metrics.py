"""Precision, recall and what follows from them, over windows."""

from collections import Counter
from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True)
class Wrong:
    """Windows of one set of events that were judged wrongly in the same way (`false alarm` or `miss`)."""

    kind: str
    events: tuple[str, ...]
    windows: int


def most_wrong(
    events: Sequence[Iterable[str]], predicted: Sequence[bool], truth: Sequence[bool], limit: int = 10
) -> list[Wrong]:
    """The sets of events that cost most, most windows first."""
    counts = Counter(
        ("false alarm" if verdict else "miss", tuple(sorted(set(held))))
        for held, verdict, label in zip(events, predicted, truth, strict=True)
        if verdict != label
    )
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [Wrong(kind, held, windows) for (kind, held), windows in ranked[:limit]]


def average_precision(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """Area under precision over recall, equal scores taken together; 0 without anomalies."""
    total = sum(truth)
    ranked = sorted(zip(scores, truth, strict=True), key=lambda pair: -pair[0])
    area, seen, hits, index = 0.0, 0, 0, 0
    while index < len(ranked):
        start_hits, score = hits, ranked[index][0]
        while index < len(ranked) and ranked[index][0] == score:
            hits += ranked[index][1]
            seen += 1
            index += 1
        area += (hits - start_hits) * _ratio(hits, seen)
    return _ratio(area, total)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
