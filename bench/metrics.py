"""Average precision, the most costly errors, and rules without a model to compare with."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

KEYWORDS = re.compile(
    rb"\b(?:WARN(?:ING)?|ERROR|SEVERE|FATAL|CRITICAL|FAILURE|EMERG(?:ENCY)?|PANIC|ABORT(?:ED|ING)?|"
    rb"[a-z]*exception|fail(?:ed|ing|s|ure)?|timed out|timeout|unable|cannot|interrupted)\b",
    re.IGNORECASE,
)
"""A severity of warning or above, or a word that people search logs for."""


@dataclass(frozen=True)
class Wrong:
    """Windows of one set of events that got the same wrong verdict (`false alarm` or `miss`)."""

    kind: str
    events: tuple[str, ...]
    windows: int


def most_wrong(
    events: Sequence[Iterable[str]], predicted: Sequence[bool], truth: Sequence[bool], limit: int = 10
) -> list[Wrong]:
    """The sets of events with the most wrong verdicts, most windows first."""
    counts = Counter(
        ("false alarm" if verdict else "miss", tuple(sorted(set(held))))
        for held, verdict, label in zip(events, predicted, truth, strict=True)
        if verdict != label
    )
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [Wrong(kind, held, windows) for (kind, held), windows in ranked[:limit]]


def average_precision(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """Area under the precision-recall curve, equal scores taken together; 0 without anomalies."""
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


def keyword(lines: Iterable[bytes]) -> bool:
    """Whether a line of the window holds a severity or a keyword."""
    return any(KEYWORDS.search(line) is not None for line in lines)


def new_event(events: Iterable[str], known: Collection[str]) -> bool:
    """Whether the window holds an event that is absent from the training part."""
    return any(event not in known for event in events)
