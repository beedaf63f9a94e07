"""Fitting a calibration: temperature and bias that turn logits into probabilities."""

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
