"""Average precision, the most costly errors, and rules without a model to compare with."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.generic]

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
    return area(*curve(np.array(scores), np.array(truth), np.ones(len(scores)))[:2])


def curve(scores: Floats, anomalous: Numbers, windows: Numbers) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and threshold at every distinct score, from the highest.

    A higher score is more anomalous; `anomalous` and `windows` are numbers of anomalous and of all windows; all [m].
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    hits, alarms = (np.cumsum(values[order], dtype=np.float64) for values in (anomalous, windows))
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True)) if len(ranked) else np.zeros(0, np.int64)
    total = max(1.0, float(anomalous.sum()))
    return hits[last] / np.maximum(alarms[last], 1.0), hits[last] / total, ranked[last]


def area(precision: Floats, recall: Floats) -> float:
    """Area under the steps of a curve, which begins at recall 0."""
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def keyword(lines: Iterable[bytes]) -> bool:
    """Whether a line of the window holds a severity or a keyword."""
    return any(KEYWORDS.search(line) is not None for line in lines)


def new_event(events: Iterable[str], known: Collection[str]) -> bool:
    """Whether the window holds an event that is absent from the training part."""
    return any(event not in known for event in events)
