import numpy as np
import pytest

from trainer.learning.evaluation import agreement, alert_rate, balanced_agreement, share, transfer_readiness


def test_a_share_comes_with_an_interval_that_holds_it():
    """Wilson's interval stays in [0, 1], narrows with more answers, and of none says nothing."""
    few, many = share(9, 10), share(900, 1000)
    assert few.low < few.value < few.high <= 1.0
    assert many.high - many.low < few.high - few.low
    assert (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)
    assert share(10, 10).high == pytest.approx(1.0)


def test_agreement_counts_verdicts_not_probabilities():
    """At 0.5 the model says anomalous."""
    assert agreement(np.array([0.5, 0.49, 0.9]), np.array([1.0, 0.0, 0.0])).value == pytest.approx(2 / 3)


def test_calling_everything_normal_is_half_right_when_classes_weigh_the_same():
    """Balanced agreement does not let many normal windows hide that all anomalies are missed."""
    labels = np.array([0.0] * 98 + [1.0] * 2)
    assert balanced_agreement(np.zeros(100), labels) == 0.5
    assert balanced_agreement(np.zeros(0), np.zeros(0)) == 1.0


def test_readiness_is_judged_on_the_general_part_alone():
    """A source-only model that ranks general windows well is ready, one that ranks them at random is not."""
    dice = np.random.default_rng(0)
    labels = (dice.random(400) < 0.3).astype(float)
    general = np.arange(400) % 2 == 0
    good = np.where(general, 6.0 * labels - 3.0 + 4.0, dice.normal(0, 3, 400))
    ready = transfer_readiness(good, labels, np.ones(400), general)
    assert ready.low > 0.95
    assert ready.count == general.sum()
    random = transfer_readiness(dice.normal(0, 3, 400), labels, np.ones(400), general)
    assert random.high < 0.9
    assert transfer_readiness(good, labels, np.ones(400), np.zeros(400, bool)).count == 0


def test_alert_rate_is_of_windows():
    """Frequent signatures count as often as they come."""
    assert alert_rate(np.array([0.9, 0.1]), np.array([1.0, 9.0])) == pytest.approx(0.1)
    assert alert_rate(np.zeros(0), np.zeros(0)) == 0.0
