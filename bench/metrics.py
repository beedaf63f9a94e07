"""Average precision, and the windows that cost most."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Wrong:
    """Windows of one set of events that got the same wrong verdict (`false alarm` or `miss`)."""

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
        area += (hits - start_hits) * hits / seen
    return area / total if total else 0.0
