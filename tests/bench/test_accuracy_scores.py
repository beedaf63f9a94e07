import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, precision_recall_curve, precision_recall_fscore_support

from bench.accuracy.cells import Outcome
from bench.accuracy.scores import Scores, average_precision, clustered, figures, reliability
from bench.accuracy.table import paired, row

HEAD = {"method": "default", "against": "labeller"}


def scores(
    values: list[float], normal: list[int], anomalous: list[int], clusters: list[int] | None = None, limit: float = 0.5
) -> Scores:
    """Scores of rows that are a signature each, with a threshold."""
    rows = np.arange(len(values))
    return Scores(
        row=rows,
        cluster=rows if clusters is None else np.array(clusters),
        score=np.array(values),
        alarm=np.array(values) >= limit,
        normal=np.array(normal),
        anomalous=np.array(anomalous),
        unseen=np.zeros(len(values), np.bool_),
    )


def outcome(one: Scores) -> Outcome:
    """The outcome of a cell."""
    facts = {"llm_answers": 4, "seconds": 1.5, "cpu_seconds": 1.0, "peak_rss_bytes": 7}
    return Outcome(one, facts)


counts = arrays(np.int64, 12, elements=st.integers(0, 5))
values = arrays(np.float64, 12, elements=st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.9, 1.0]))


@given(counts, counts, values)
def test_figures_are_those_of_single_windows(normal: np.ndarray, anomalous: np.ndarray, value: np.ndarray) -> None:
    """Rows with numbers of windows give what scikit-learn gives for one entry per window."""
    if not anomalous.sum() or not normal.sum():
        return
    one = scores(list(value), list(normal), list(anomalous))
    truth = np.concatenate([np.repeat(1, anomalous.sum()), np.repeat(0, normal.sum())])
    score = np.concatenate([np.repeat(value, anomalous), np.repeat(value, normal)])
    expected = precision_recall_fscore_support(truth, score >= 0.5, average="binary", zero_division=0)[:3]
    precision, recall, _ = precision_recall_curve(truth, score)

    found = figures(one)

    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected)
    assert found["average_precision"] == pytest.approx(average_precision_score(truth, score))
    assert found["best_f1"] == pytest.approx((2 * precision * recall / np.maximum(precision + recall, 1e-12)).max())


def test_f1_on_unseen_signatures_counts_those_alone() -> None:
    """A missed anomaly of a signature that the pool holds does not count there."""
    one = scores([0.9, 0.1], [0, 0], [3, 5])
    unseen = Scores(**{**one.arrays(), "unseen": np.array([True, False])})

    assert figures(unseen)["f1_unseen_signatures"] == 1.0
    assert figures(unseen)["f1"] == pytest.approx(6 / 11)


def test_without_anomalies_there_is_no_precision_to_speak_of() -> None:
    """A history without anomalies gives a false-positive rate, and zeros elsewhere."""
    found = figures(scores([0.9, 0.1], [1, 3], [0, 0]))

    assert found["false_positive_rate"] == 0.25
    assert found["f1"] == found["average_precision"] == found["recall"] == 0.0


def test_folds_are_pooled_before_figures_and_seeds_averaged_after() -> None:
    """A fold without an anomaly is no F1 of 0, answers of folds add up; F1 of the seeds has mean and deviation."""
    good = [outcome(scores([0.9], [0], [4])), outcome(scores([0.1], [4], [0]))]
    bad = [outcome(scores([0.1], [0], [4])), outcome(scores([0.1], [4], [0]))]

    found = row({"method": "pca"}, [good, bad])

    assert found["f1"] == 0.5
    assert found["f1_sd"] == pytest.approx(0.7071, abs=1e-4)
    assert (found["llm_answers"], found["seconds"], found["peak_rss_bytes"]) == (8, 3.0, 7)


def test_one_seed_has_no_deviation() -> None:
    """Spread needs two values; 0 would say that they are the same."""
    assert row({"method": "pca"}, [[outcome(scores([0.9], [0], [4]))]])["f1_sd"] is None


def test_the_difference_is_paired_by_signature() -> None:
    """Equal verdicts differ by exactly 0 in every resample; one signature that decides gives a wide interval."""
    first = scores([0.9, 0.9, 0.1, 0.1], [0, 0, 50, 50], [60, 3, 0, 0])
    second = scores([0.1, 0.9, 0.1, 0.1], [0, 0, 50, 50], [60, 3, 0, 0])

    same = paired(HEAD, [[outcome(first)]], [[outcome(first)]])
    other = paired(HEAD, [[outcome(first)]], [[outcome(second)]])

    assert (same["difference"], same["low"], same["high"]) == (0.0, 0.0, 0.0)
    assert other["difference"] == pytest.approx(1.0 - 6 / 66, abs=1e-4)
    assert other["low"] == 0.0 < other["difference"] <= other["high"]


def test_windows_of_a_signature_are_summed() -> None:
    """Rows of one signature count together, whatever their scores."""
    one = scores([0.9, 0.1, 0.9], [1, 2, 3], [4, 5, 6], clusters=[0, 0, 2])

    assert clustered(one, 3).tolist() == [[4, 1, 5], [0, 0, 0], [6, 3, 0]]


def test_reliability_compares_scores_with_shares() -> None:
    """Each bin holds its mean score, its share of anomalies and its windows."""
    found = reliability(scores([0.81, 0.89, 0.1], [1, 1, 8], [3, 3, 0]))

    assert [(round(one["score"], 3), one["anomalous"], one["windows"]) for one in found] == [
        (0.1, 0.0, 8.0),
        (0.85, 0.75, 8.0),
    ]


def test_average_precision_takes_equal_scores_together() -> None:
    """One score for all windows is worth the share of anomalies."""
    assert average_precision(scores([0.5, 0.5], [3, 0], [0, 1])) == 0.25
