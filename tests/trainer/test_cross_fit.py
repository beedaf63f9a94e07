"""What follows from scores by models that had not seen an answer."""

from collections.abc import Sequence

import numpy as np
import pytest

from trainer.labelling.base import Answer
from trainer.labelling.grouping import label_groups
from trainer.learning.count_regression import CountRegression
from trainer.learning.cross_fit import calibrated, unseen_agreement, weigh_answers
from trainer.learning.group_labels import GroupLabels
from trainer.testing import corpus


def answered(windows: Sequence[Sequence[str]], anomalous: Sequence[bool], confidence: float) -> GroupLabels:
    """Labels of windows, each a group of its own; `confidence` of anomalous answers, 0.95 of normal ones."""
    target = corpus([list(window) for window in windows])
    groups = label_groups(target, 20_000)
    labels = GroupLabels(target, groups)
    place = {signature.runs: number for number, signature in enumerate(target.signatures)}
    assert len(place) == len(windows)
    bad = dict(zip((signature.runs for signature in target.signatures), anomalous, strict=True))
    answers = []
    for group in groups:
        is_bad = bad[target.signatures[group.members[0]].runs]
        answers.append(Answer(group.id, "anomalous" if is_bad else "normal", confidence if is_bad else 0.95))
    labels.take(np.arange(len(groups)), answers)
    return labels


def rare_class(anomalies: int) -> tuple[list[list[str]], list[bool]]:
    """Three hundred usual windows and a few that share a line `fail`."""
    usual = [["open"] * (1 + n % 20) + ["work"] * (1 + n // 20) for n in range(300)]
    failed = [["open"] * (1 + n) + ["fail"] for n in range(anomalies)]
    return usual + failed, [False] * 300 + [True] * anomalies


@pytest.mark.parametrize("anomalies", [8, 12])
def test_a_rare_class_whose_answers_agree_keeps_its_weight(anomalies: int) -> None:
    """Many normal answers about other lines do not overrule a few anomalous ones of confidence 0.8."""
    windows, kinds = rare_class(anomalies)
    target = corpus(windows)
    labels = answered(windows, kinds, 0.8)
    weigh_answers(labels, CountRegression(target))
    assert labels.weight[labels.label == 1.0].min() > 0.1
    assert labels.weight[labels.label == 0.0].min() > 0.5


def test_answers_that_all_contradict_keep_the_weight_of_their_confidence() -> None:
    """Where no answer of a class would count any more, all weigh what their confidence says."""
    windows, kinds = rare_class(1)
    labels = answered(windows, kinds, 0.55)
    weigh_answers(labels, CountRegression(corpus(windows)))
    assert labels.weight[labels.label == 1.0] == pytest.approx([0.1])
    assert labels.weight[labels.label == 0.0] == pytest.approx(np.full(300, 0.9))


def scores(labels: GroupLabels, normal: float, out_of_fold: float, final: float) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold and final logits of signatures: normal ones spread around a value, anomalous ones at theirs."""
    bad = labels.label[labels.group_of] == 1.0
    spread = np.random.default_rng(0).normal(normal, 0.5, len(bad))
    return np.where(bad, out_of_fold, spread), np.where(bad, final, spread)


@pytest.mark.parametrize("anomalies", [1, 4, 5, 6, 9])
def test_few_answers_of_a_class_do_not_silence_the_model(anomalies: int) -> None:
    """Out-of-fold scores that do not know the rare class leave its windows above the threshold, without a cliff.

    New anomalies are expected to lie between the normal windows and those that the model has learned by heart.
    """
    windows, kinds = rare_class(anomalies)
    labels = answered(windows, kinds, 0.9)
    calibration = calibrated(labels, *scores(labels, normal=-4.0, out_of_fold=-3.5, final=5.0))
    assert calibration.probabilities(np.array([4.0]))[0] > 0.5
    assert calibration.probabilities(np.array([-3.5]))[0] < 0.5


def test_enough_answers_are_calibrated_by_what_is_unseen() -> None:
    """With twenty answers of each class the final model's own scores do not matter."""
    windows, kinds = rare_class(20)
    labels = answered(windows, kinds, 0.9)
    unseen, _ = scores(labels, normal=-4.0, out_of_fold=0.0, final=0.0)
    one = calibrated(labels, unseen, np.full(len(unseen), 50.0))
    other = calibrated(labels, unseen, unseen)
    assert one == other
    assert one.probabilities(np.array([-0.5]))[0] > 0.5 > one.probabilities(np.array([-3.0]))[0]


def test_agreement_is_of_unseen_scores_at_their_own_scale() -> None:
    """A model that had not seen the answers and still separates them agrees with all, whatever its bias."""
    windows, kinds = rare_class(10)
    labels = answered(windows, kinds, 0.9)
    unseen, _ = scores(labels, normal=-9.0, out_of_fold=-5.0, final=0.0)
    assert unseen_agreement(labels, unseen).value == 1.0
    blind = np.zeros(len(unseen))
    assert unseen_agreement(labels, blind).value == pytest.approx(300 / 310)
