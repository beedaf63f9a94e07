"""From logits to verdicts: fitting temperature and bias, and a threshold from a budget of alerts."""

import numpy as np
import numpy.typing as npt

from detector.model.calibration import Calibration, sigmoid

Floats = npt.NDArray[np.float64]

_STEPS = 200
_RIDGE_SLOPE, _RIDGE_BIAS = 0.5, 0.05
_MIN_SLOPE, _MAX_SLOPE = 0.2, 3.0


def fit(logits: Floats, labels: Floats, weights: Floats) -> Calibration:
    """Minimal cross-entropy by Newton's method, with a penalty on change so that few labels change little.

    All are [n]: uncalibrated logits, labels from 0 to 1, and the weights of these.
    """
    if not len(logits) or float(weights.sum()) <= 0.0:
        return Calibration()
    scaled = weights * len(weights) / float(weights.sum())
    slope, bias = 1.0, 0.0
    for _ in range(_STEPS):
        predicted = sigmoid(slope * logits + bias)
        error, spread = scaled * (predicted - labels), scaled * predicted * (1.0 - predicted) + 1e-9
        gradient = np.array([error @ logits + _RIDGE_SLOPE * (slope - 1.0), error.sum() + _RIDGE_BIAS * bias])
        cross = float(spread @ logits)
        hessian = np.array([[spread @ logits**2 + _RIDGE_SLOPE, cross], [cross, spread.sum() + _RIDGE_BIAS]])
        move = np.clip(np.linalg.solve(hessian, gradient), -0.5, 0.5)
        slope, bias = float(np.clip(slope - move[0], _MIN_SLOPE, _MAX_SLOPE)), float(bias - move[1])
        if np.abs(move).max() < 1e-9:  # noqa: PLR2004
            break
    return Calibration(temperature=1.0 / slope, bias=bias)


def threshold_for(probabilities: Floats, windows: Floats, alerts: float) -> float:
    """The threshold by which the history would have raised nearest to so many alerts, as a ratio.

    Windows with the same score alert together or not at all, so the number can be missed where many are equal.

    Args:
        probabilities: [n] calibrated, of distinct windows.
        windows: [n] how often each occurs.
        alerts: number wanted, above 0.
    """
    scores, place = np.unique(probabilities, return_inverse=True)
    raised = np.cumsum(np.bincount(place, weights=windows)[::-1])[::-1]  # with each score as threshold
    nearest = int(np.argmin(np.abs(np.log(raised / alerts))))
    if nearest == 0:
        return float(scores[0])
    # Between two scores, so that the last digits of another processor change no verdict.
    between = float(0.5 * (scores[nearest - 1] + scores[nearest]))
    return between if between > scores[nearest - 1] else float(scores[nearest])
