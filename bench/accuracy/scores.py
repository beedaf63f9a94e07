"""Scores of a test part joined with the truth, and the figures that follow from them.

Rows are distinct windows; each has its numbers of normal and of anomalous windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench import metrics
from bench.accuracy.data.windows import Bools, Floats, Ints
from testkit.confusion import Confusion


@dataclass(frozen=True)
class Scores:
    """Rows of one or several test parts.

    Attributes:
        row, cluster: [m] number of the row and of its signature.
        score: [m] higher is more anomalous.
        alarm: [m] whether the method raises an alarm.
        normal, anomalous: [m] windows of the row by the truth.
        unseen: [m] whether the pool lacks the signature.
    """

    row: Ints
    cluster: Ints
    score: Floats
    alarm: Bools
    normal: Ints
    anomalous: Ints
    unseen: Bools

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The attributes by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def take(self, chosen: Bools) -> "Scores":
        """The chosen rows."""
        return Scores(**{name: values[chosen] for name, values in self.arrays().items()})  # type: ignore[arg-type]

    @staticmethod
    def pooled(parts: "Sequence[Scores]") -> "Scores":
        """Several test parts as one."""
        names = Scores.__dataclass_fields__
        return Scores(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def figures(scores: Scores) -> dict[str, float]:
    """Precision, recall, F1, average precision, best F1, false-positive rate, and F1 on signatures the pool lacks."""
    found = confusion(scores)
    precision, recall, _ = curve(scores)
    best = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return {
        "precision": found.precision,
        "recall": found.recall,
        "f1": found.f1,
        "average_precision": metrics.area(precision, recall),
        "best_f1": float(best.max()) if len(best) else 0.0,
        "false_positive_rate": found.false_positive_rate,
        "f1_unseen_signatures": confusion(scores.take(scores.unseen)).f1,
    }


def confusion(scores: Scores) -> Confusion:
    """The four cases, counted in windows."""
    alarm = scores.alarm
    counts = (scores.anomalous[alarm], scores.normal[alarm], scores.anomalous[~alarm], scores.normal[~alarm])
    return Confusion(*(int(windows.sum()) for windows in counts))


def curve(scores: Scores) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and threshold at every distinct score, from the highest."""
    return metrics.curve(scores.score, scores.anomalous, scores.anomalous + scores.normal)


def average_precision(scores: Scores) -> float:
    """Area under the steps of the precision-recall curve, equal scores taken together; 0 without anomalies."""
    return metrics.area(*curve(scores)[:2])


def reliability(scores: Scores, bins: int = 10) -> list[dict[str, float]]:
    """Mean score and share of anomalies of the windows in each bin of scores between 0 and 1."""
    windows = (scores.normal + scores.anomalous).astype(np.float64)
    place = np.clip((scores.score * bins).astype(np.int64), 0, bins - 1)
    found = []
    for one in range(bins):
        inside = place == one
        total = float(windows[inside].sum())
        if total:
            mean = float((scores.score[inside] * windows[inside]).sum() / total)
            found.append({"score": mean, "anomalous": float(scores.anomalous[inside].sum()) / total, "windows": total})
    return found


def clustered(scores: Scores, clusters: int) -> Floats:
    """[clusters, 3] hits, false alarms and misses of each signature."""
    alarm = scores.alarm.astype(np.float64)
    columns = (scores.anomalous * alarm, scores.normal * alarm, scores.anomalous * (1.0 - alarm))
    return np.stack([np.bincount(scores.cluster, weights=column, minlength=clusters) for column in columns], axis=1)
