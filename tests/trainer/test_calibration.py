import numpy as np

from detector.model.calibration import Calibration, sigmoid
from trainer.learning.calibration import Floats, fit


def _drawn(slope: float, bias: float, count: int = 4000) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, count)
    labels = (rng.random(count) < sigmoid(slope * logits + bias)).astype(float)
    return logits, labels


def test_overconfident_logits_are_tempered_and_shifted() -> None:
    """Labels drawn with half the slope and another prior give back that temperature and bias."""
    logits, labels = _drawn(0.5, -1.0)
    found = fit(logits, labels, np.ones(len(logits)))
    assert abs(found.temperature - 2.0) < 0.25
    assert abs(found.bias + 1.0) < 0.15


def test_few_labels_bend_little() -> None:
    """One label changes the calibration less than many equal ones."""
    one = fit(np.array([2.0]), np.array([0.0]), np.ones(1))
    many = fit(np.full(200, 2.0), np.zeros(200), np.ones(200))
    assert many.probabilities(np.array([2.0]))[0] < one.probabilities(np.array([2.0]))[0] < sigmoid(np.array([2.0]))[0]


def test_nothing_to_fit_changes_nothing() -> None:
    """Without labels, or without weight, the probabilities are the plain ones."""
    assert fit(np.zeros(0), np.zeros(0), np.zeros(0)) == Calibration()
    assert fit(np.ones(3), np.ones(3), np.zeros(3)) == Calibration()


def test_a_separable_class_stays_finite() -> None:
    """Perfect separation and huge logits do not run away."""
    found = fit(np.array([-900.0, -800.0, 800.0, 900.0]), np.array([0.0, 0.0, 1.0, 1.0]), np.ones(4))
    assert np.isfinite([found.temperature, found.bias]).all()
    assert found.temperature > 0
