"""How much an answer counts in training: by the estimated chance that it is right."""

import numpy as np
import numpy.typing as npt

from detector.model.calibration import sigmoid

Floats = npt.NDArray[np.float64]

_LEAST_CONFIDENCE, _MOST_CONFIDENCE = 0.5, 0.99
_OTHERS = 0.5
"""Weight of what the other answers say. On recorded answers about three real systems (pool halves), 0.25 to 0.5 gave
F1 .9633 and .982 to .983 on the two with wrong answers; 0 and 1 gave less on one of them."""
_MOST_OTHERS = 2.0
"""Bound of their logit. It holds the share of anomalies too, which is low for every rare window: unbounded, ten
anomalous answers of confidence 0.8 that agree with each other would be overruled by three hundred normal ones about
other lines."""


def chance_right(labels: Floats, confidences: Floats, others: Floats) -> Floats:
    """[n] estimated chance that an answer is right, from the labeller's confidence and from the other answers.

    Args:
        labels: [n] 1 for an anomalous answer, 0 for a normal one.
        confidences: [n] the labeller's.
        others: [n] logit that the window is anomalous, from a model that learned from the other answers alone.
    """
    confidence = np.clip(confidences, _LEAST_CONFIDENCE, _MOST_CONFIDENCE)
    own = np.log(confidence / (1.0 - confidence))
    towards_answer = np.where(labels >= 0.5, 1.0, -1.0)  # noqa: PLR2004
    return sigmoid(own + _OTHERS * np.clip(others, -_MOST_OTHERS, _MOST_OTHERS) * towards_answer)


def weight_of(chance: Floats) -> Floats:
    """[n] weight of answers that are right with this chance: 1 for a certain one, 0 for a guess or less."""
    weights: Floats = np.maximum(0.0, 2.0 * chance - 1.0)
    return weights
