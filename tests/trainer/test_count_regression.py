"""Fitting the path for counts."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from detector.model.count_path import EventCounts
from detector.model.runs import Runs
from trainer.learning.count_regression import fit_counts

ROW_OF = {"a": 0, "b": 1, "c": 2}


def drawn(count: int = 300) -> tuple[list[Runs], np.ndarray, np.ndarray]:
    """Windows, labels that depend on how many lines of `b` there are, and weights."""
    rng = np.random.default_rng(3)
    windows: list[Runs] = [
        tuple((event, int(rng.integers(1, 9))) for event in "abc" if rng.random() < 0.7) for _ in range(count)
    ]
    amount = np.array([dict(window).get("b", 0) for window in windows])
    labels = (amount + rng.normal(0, 1, count) > 4).astype(float)
    return windows, labels, rng.random(count)


def test_it_is_the_ridge_regression_of_scikit_learn() -> None:
    """Weights and bias are those of another implementation on the same features, weights and penalty."""
    windows, labels, weights = drawn()
    found = fit_counts(EventCounts.of(windows, ROW_OF), 3, labels, weights)
    amounts = np.array([[dict(window).get(event, 0) for event in "abc"] for window in windows])
    features = np.hstack([np.log1p(amounts), amounts > 0])
    peer = LogisticRegression(C=1 / 3.0, tol=1e-10, max_iter=10_000)
    peer.fit(features, labels, sample_weight=weights * len(weights) / weights.sum())
    assert found.weights.T.reshape(-1) == pytest.approx(peer.coef_[0], abs=1e-3)
    assert found.bias == pytest.approx(peer.intercept_[0], abs=1e-3)


def test_windows_without_weight_count_nothing() -> None:
    """Wrong labels of weight 0 do not change the fit."""
    windows, labels, weights = drawn()
    counts = EventCounts.of(windows, ROW_OF)
    half = np.arange(len(labels)) % 2 == 0
    one = fit_counts(counts, 3, labels, np.where(half, weights, 0.0))
    other = fit_counts(counts, 3, np.where(half, labels, 1.0 - labels), np.where(half, weights, 0.0))
    assert np.array_equal(one.weights, other.weights)
    assert one.weights.any()


def test_nothing_to_learn_is_no_opinion() -> None:
    """Without weights every logit is 0; with one class only, weights stay finite."""
    windows, labels, weights = drawn()
    counts = EventCounts.of(windows, ROW_OF)
    assert not fit_counts(counts, 3, labels, np.zeros(len(labels))).logits(counts).any()
    assert np.isfinite(fit_counts(counts, 3, np.zeros(len(labels)), weights).logits(counts)).all()
