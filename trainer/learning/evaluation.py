"""What is known about a model without the truth: agreement with the labeller, transfer readiness, alert rate."""

from dataclasses import asdict, dataclass
from math import isfinite, sqrt

import numpy as np
import numpy.typing as npt

from trainer.learning.calibration import fit
from trainer.learning.routing import RoutingStatistics

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_Z = 1.96


@dataclass(frozen=True)
class Share:
    """A share of `count` cases, with its 95% interval (Wilson)."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class TrainingMetrics:
    """The figures of a training, from distillation to manifest, model pointer, report and command line.

    Attributes:
        answers: groups that were asked about, abstentions included.
        abstentions: answers without a label.
        anomalous_answers: answers with the label `anomalous`.
        guard: agreement of models that had not seen an answer with it (cross-fit).
        readiness: agreement of the source-only model with the labeller on the general part of the audit.
        neighbors_agree: share of answered groups whose nearest answered group has the same label.
        alert_rate: share of the history's windows that the model would alert on, at its threshold.
        alerts_per_day: how many these are a day; None where the history's lines have no time.
        meta_domain_accuracy: how often the domain head was right at the end of meta-learning; 0.5 is a guess.
        routing: figures of the router; None without a signature.
        disputed: answers that a confident model contradicted; None where no answer was checked.
        rolled_back: fine-tunings that were undone.
        labels_from_source_model: general groups that kept the source-only model's label; None where none may.
    """

    answers: int
    abstentions: int
    anomalous_answers: int
    guard: Share
    readiness: Share
    neighbors_agree: float
    alert_rate: float
    alerts_per_day: float | None = None
    meta_domain_accuracy: float = 0.5
    routing: RoutingStatistics | None = None
    disputed: int | None = None
    rolled_back: int = 0
    labels_from_source_model: int | None = None

    @property
    def transfer_readiness(self) -> float | None:
        """Value of `readiness`; None without an anomalous answer, since normal windows alone show little."""
        return self.readiness.value if self.readiness.count and self.anomalous_answers else None

    def flat(self) -> dict[str, float]:
        """Finite figures by the names that manifests, model pointers and `fusionlog train --json` carry."""
        figures: dict[str, float | None] = {
            "answers": self.answers,
            "abstentions": self.abstentions,
            "anomalous_answers": self.anomalous_answers,
            "disputed": self.disputed,
            "rolled_back": self.rolled_back or None,
            "labels_from_source_model": self.labels_from_source_model,
            "guard_agreement": self.guard.value,
            "guard_agreement_low": self.guard.low,
            "guard_agreement_high": self.guard.high,
            "guard_answers": self.guard.count,
            "readiness_low": self.readiness.low,
            "readiness_high": self.readiness.high,
            "readiness_answers": self.readiness.count,
            "neighbours_agree": self.neighbors_agree,
            "alert_rate": self.alert_rate,
            "alerts_per_day": self.alerts_per_day,
            "meta_domain_accuracy": self.meta_domain_accuracy,
            **({f"router_{name}": value for name, value in asdict(self.routing).items()} if self.routing else {}),
        }
        return {name: float(value) for name, value in figures.items() if value is not None and isfinite(value)}


def share(hits: float, count: int) -> Share:
    """A share with Wilson's interval; of no case, the interval is 0 to 1."""
    if count <= 0:
        return Share(0.0, 0.0, 1.0, 0)
    p, z2 = hits / count, _Z * _Z
    middle = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * sqrt(p * (1 - p) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    return Share(p, max(0.0, middle - half), min(1.0, middle + half), count)


def agreement(probabilities: Floats, labels: Floats) -> Share:
    """How often the model, at threshold 0.5, and the labeller have the same verdict."""
    same = (probabilities >= 0.5) == (labels >= 0.5)  # noqa: PLR2004
    return share(float(same.sum()), len(labels))


def balanced_agreement(probabilities: Floats, labels: Floats) -> float:
    """Mean agreement over the labeller's two classes, so that the few anomalies count as much as the normal windows."""
    model, labeller = probabilities >= 0.5, labels >= 0.5  # noqa: PLR2004
    parts = [float((model[labeller == side] == side).mean()) for side in (True, False) if (labeller == side).any()]
    return float(np.mean(parts)) if parts else 1.0


def transfer_readiness(logits: Floats, labels: Floats, weights: Floats, general: Bools) -> Share:
    """Agreement of the source-only model with the labeller on the general part of the audit.

    The model is calibrated on one half of the audit and evaluated on the other, then the reverse. All are [n], of the
    audited signatures; the weights are √windows.
    """
    if not general.any():
        return share(0.0, 0)
    fold = np.arange(len(logits)) % 2 == 0
    hits, count = 0.0, 0
    for half in (fold, ~fold):
        calibration = fit(logits[half], labels[half], weights[half])
        tested = ~half & general
        same = (calibration.probabilities(logits[tested]) >= 0.5) == (labels[tested] >= 0.5)  # noqa: PLR2004
        hits, count = hits + float(same.sum()), count + int(tested.sum())
    return share(hits, count)


def alert_rate(probabilities: Floats, windows: Floats, threshold: float = 0.5) -> float:
    """Share of windows, given per distinct window, that the model would alert on."""
    total = float(windows.sum())
    return float(windows[probabilities >= threshold].sum()) / total if total else 0.0
