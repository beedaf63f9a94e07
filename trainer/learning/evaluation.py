"""What can be said of a model without the truth: agreement with the labeller, transfer readiness, alert rate."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from trainer.learning.calibration import fit

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_Z = 1.96


@dataclass(frozen=True)
class Share:
    """A share with its 95% interval (Wilson), and of how many."""

    value: float
    low: float
    high: float
    count: int


def share(hits: float, count: int) -> Share:
    """Wilson's interval; of nothing, anything from 0 to 1."""
    if count <= 0:
        return Share(0.0, 0.0, 1.0, 0)
    p, z2 = hits / count, _Z * _Z
    middle = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * sqrt(p * (1 - p) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    return Share(p, max(0.0, middle - half), min(1.0, middle + half), count)


def agreement(probabilities: Floats, labels: Floats) -> Share:
    """How often the model at 0.5 and the labeller say the same."""
    same = (probabilities >= 0.5) == (labels >= 0.5)  # noqa: PLR2004
    return share(float(same.sum()), len(labels))


def balanced_agreement(probabilities: Floats, labels: Floats) -> float:
    """Mean over the labeller's classes of how often the model says the same: anomalies are few, but they count."""
    model, labeller = probabilities >= 0.5, labels >= 0.5  # noqa: PLR2004
    parts = [float((model[labeller == side] == side).mean()) for side in (True, False) if (labeller == side).any()]
    return float(np.mean(parts)) if parts else 1.0


def transfer_readiness(logits: Floats, labels: Floats, weights: Floats, general: Bools) -> Share:
    """Agreement of the source-only model with the labeller on the general part of the audit.

    The model is calibrated on one half of the audit and judged on the other, both ways round, so that it is not judged
    on what bent it.

    Args:
        logits: [n] of the source-only model on the audited signatures.
        labels: [n] of the labeller.
        weights: [n] √windows.
        general: [n] whether the router calls the signature general.
    """
    if not general.any():
        return share(0.0, 0)
    fold = np.arange(len(logits)) % 2 == 0
    hits, count = 0.0, 0
    for half in (fold, ~fold):
        calibration = fit(logits[half], labels[half], weights[half])
        judged = ~half & general
        same = (calibration.probabilities(logits[judged]) >= 0.5) == (labels[judged] >= 0.5)  # noqa: PLR2004
        hits, count = hits + float(same.sum()), count + int(judged.sum())
    return share(hits, count)


def alert_rate(probabilities: Floats, windows: Floats, threshold: float = 0.5) -> float:
    """Share of the target's windows that the model would alert on."""
    total = float(windows.sum())
    return float(windows[probabilities >= threshold].sum()) / total if total else 0.0
