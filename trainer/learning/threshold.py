"""A threshold from a budget of alerts, by the scores of the unlabelled history."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


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
