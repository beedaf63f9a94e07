from dataclasses import replace

import numpy as np
import pytest

from trainer.learning.evaluation import (
    Share,
    TrainingMetrics,
    agreement,
    alert_rate,
    balanced_agreement,
    share,
    transfer_readiness,
)
from trainer.learning.routing import RoutingStatistics

METRICS = TrainingMetrics(
    answers=50,
    abstentions=1,
    anomalous_answers=4,
    guard=Share(0.9, 0.77, 0.96, 40),
    readiness=Share(0.75, 0.3, 0.95, 4),
    neighbors_agree=0.8,
    alert_rate=0.015,
    meta_domain_accuracy=0.6,
    routing=RoutingStatistics(0.4, 12.0, -0.5, -0.3, 0.1, 0.2, 0.9),
    disputed=3,
    rolled_back=1,
    labels_from_source_model=7,
)


def test_a_share_comes_with_an_interval_that_holds_it() -> None:
    """Wilson's interval stays in [0, 1], narrows with more answers, and of none says nothing."""
    few, many = share(9, 10), share(900, 1000)
    assert few.low < few.value < few.high <= 1.0
    assert many.high - many.low < few.high - few.low
    assert (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)
    assert share(10, 10).high == pytest.approx(1.0)


def test_agreement_counts_verdicts_not_probabilities() -> None:
    """At 0.5 the model says anomalous."""
    assert agreement(np.array([0.5, 0.49, 0.9]), np.array([1.0, 0.0, 0.0])).value == pytest.approx(2 / 3)


def test_calling_everything_normal_is_half_right_when_classes_weigh_the_same() -> None:
    """Balanced agreement does not let many normal windows hide that all anomalies are missed."""
    labels = np.array([0.0] * 98 + [1.0] * 2)
    assert balanced_agreement(np.zeros(100), labels) == 0.5
    assert balanced_agreement(np.zeros(0), np.zeros(0)) == 1.0


def test_readiness_is_judged_on_the_general_part_alone() -> None:
    """A source-only model that ranks general windows well is ready, one that ranks them at random is not."""
    rng = np.random.default_rng(0)
    labels = (rng.random(400) < 0.3).astype(float)
    general = np.arange(400) % 2 == 0
    good = np.where(general, 6.0 * labels - 3.0 + 4.0, rng.normal(0, 3, 400))
    ready = transfer_readiness(good, labels, np.ones(400), general)
    assert ready.low > 0.95
    assert ready.count == general.sum()
    random = transfer_readiness(rng.normal(0, 3, 400), labels, np.ones(400), general)
    assert random.high < 0.9
    assert transfer_readiness(good, labels, np.ones(400), np.zeros(400, bool)).count == 0


def test_alert_rate_is_of_windows() -> None:
    """Frequent signatures count as often as they come."""
    assert alert_rate(np.array([0.9, 0.1]), np.array([1.0, 9.0])) == pytest.approx(0.1)
    assert alert_rate(np.zeros(0), np.zeros(0)) == 0.0


def test_metrics_keep_the_names_that_manifests_and_scripts_know() -> None:
    """Flat names and numbers on the wire: what reads a manifest, a model pointer or `train --json` relies on them."""
    assert METRICS.flat() == {
        "answers": 50.0,
        "abstentions": 1.0,
        "anomalous_answers": 4.0,
        "disputed": 3.0,
        "rolled_back": 1.0,
        "labels_from_source_model": 7.0,
        "guard_agreement": 0.9,
        "guard_agreement_low": 0.77,
        "guard_agreement_high": 0.96,
        "guard_answers": 40.0,
        "readiness_low": 0.3,
        "readiness_high": 0.95,
        "readiness_answers": 4.0,
        "neighbours_agree": 0.8,
        "alert_rate": 0.015,
        "meta_domain_accuracy": 0.6,
        "router_general_share": 0.4,
        "router_distinct_scores": 12.0,
        "router_score_events_correlation": -0.5,
        "router_score_length_correlation": -0.3,
        "router_score_q10": 0.1,
        "router_score_q50": 0.2,
        "router_score_q90": 0.9,
    }


def test_figures_that_do_not_exist_are_left_out() -> None:
    """What did not happen and what is not a number has no name on the wire, instead of a false zero."""
    plain = replace(METRICS, routing=None, disputed=None, rolled_back=0, labels_from_source_model=None)
    absent = METRICS.flat().keys() - plain.flat().keys()
    assert {name for name in absent if not name.startswith("router_")} == {
        "disputed",
        "rolled_back",
        "labels_from_source_model",
    }
    assert not any(name.startswith("router_") for name in plain.flat())
    assert "alert_rate" not in replace(METRICS, alert_rate=float("nan")).flat()


def test_readiness_needs_an_anomalous_answer() -> None:
    """Agreement on normal windows alone does not show that the source-only model finds anomalies."""
    assert METRICS.transfer_readiness == 0.75
    assert replace(METRICS, anomalous_answers=0).transfer_readiness is None
    assert replace(METRICS, readiness=Share(0.0, 0.0, 1.0, 0)).transfer_readiness is None
