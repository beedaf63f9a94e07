"""A threshold from a budget of alerts."""

import numpy as np
import pytest

from trainer.learning.calibration import threshold_for


def alerts_at(threshold: float, probabilities: np.ndarray, windows: np.ndarray) -> float:
    """Windows that the history would have raised."""
    return float(windows[probabilities >= threshold].sum())


@pytest.mark.parametrize("wanted", [1, 7, 40, 399])
def test_the_history_raises_what_is_wanted(wanted: int) -> None:
    """With distinct scores and single windows the number is met exactly, whatever the calibration says."""
    probabilities = np.random.default_rng(0).random(400) * 1e-3
    windows = np.ones(400)
    assert alerts_at(threshold_for(probabilities, windows, wanted), probabilities, windows) == wanted


def test_equal_windows_alert_together_and_the_nearest_ratio_wins() -> None:
    """Of 1, 91 or 191 possible alerts, 10 is nearer to 1 than to 91 by ratio, 60 is nearer to 91."""
    probabilities, windows = np.array([0.9, 0.6, 0.2]), np.array([1.0, 90.0, 100.0])
    assert alerts_at(threshold_for(probabilities, windows, 9), probabilities, windows) == 1
    assert alerts_at(threshold_for(probabilities, windows, 60), probabilities, windows) == 91
    assert alerts_at(threshold_for(probabilities, windows, 1e6), probabilities, windows) == 191


def test_a_threshold_lies_between_scores() -> None:
    """No score of the history lies on the threshold, also where two scores are neighbors as numbers."""
    assert threshold_for(np.array([0.9, 0.5]), np.ones(2), 1) == pytest.approx(0.7)
    near = np.array([0.5, np.nextafter(0.5, 1.0)])
    assert alerts_at(threshold_for(near, np.ones(2), 1), near, np.ones(2)) == 1
