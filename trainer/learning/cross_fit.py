"""Cross-fit: scores of answered windows by models that had not seen their answer, and what follows from them.

Scores of windows that a model was trained on are too sure. The answers are split into folds; each fold is scored by a
model trained without it. Such scores weigh the answers against each other, and calibrate the final model.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from detector.model.calibration import Calibration
from detector.model.count_path import joined
from trainer.learning.answer_weights import chance_right, weight_of
from trainer.learning.calibration import fit
from trainer.learning.count_regression import CountRegression
from trainer.learning.evaluation import Share, agreement
from trainer.learning.group_labels import GroupLabels

Floats = npt.NDArray[np.float64]
_UNKNOWN_CLASS, _KNOWN_CLASS = 4, 20
"""Answers of the rarer class. With up to four, a model without a fold of them hardly knows the class; with twenty, each
fold leaves more than twelve. Of two anomalous answers among 45 (a history of 55 windows of HDFS), each was scored by a
model that knew only the other one: both got less than any normal answer, and the calibrated model never alerted."""
_REMEMBERED = 0.5
"""How far the logits of a rare class that a model has learned by heart lie too far from the other class, as a share of
the distance. In the same history the two anomalous answers lay 11 above the normal ones, and five of the seven
anomalies that came after it lay 4 to 6 above them."""

TrainAnew = Callable[[Floats, Floats, int], Floats]
"""Trains a network on labels [n] with weights [n], as fold number; logits [n] of all signatures."""


def weigh_answers(labels: GroupLabels, regression: CountRegression) -> None:
    """Weigh the labeller's answers by their estimated chance to be right (docs/method.md#distillation).

    Labels that the small model gave keep their weight, and so do all where a class would be left without any.
    """
    rows = np.flatnonzero(labels.answered)
    before = labels.weight.copy()
    labels.weight[rows] = weight_of(labels.confidence[rows])  # without what the rounds thought of them
    others = regression.out_of_fold(labels)[labels.first[rows]]
    labels.weight[rows] = weight_of(chance_right(labels.label[rows], labels.confidence[rows], others))
    if not labels.has_both_classes():
        labels.weight = before


def out_of_fold_logits(labels: GroupLabels, regression: CountRegression, train_anew: TrainAnew) -> Floats:
    """[n] joined logits of all signatures, each by network and regression that had not seen the answer about it."""
    network = np.zeros(len(labels.windows))
    for fold in range(labels.folds):
        inside = labels.fold == fold
        chosen = inside[labels.group_of]
        if chosen.any():
            network[chosen] = train_anew(*labels.training(inside), fold)[chosen]
    return joined(network, regression.out_of_fold(labels))


def calibrated(labels: GroupLabels, out_of_fold: Floats, final: Floats) -> Calibration:
    """The calibration by which logits [n] of signatures fit the labeller's answers, √windows as weights.

    It rests on out-of-fold logits as far as both classes have answers enough for that (20 of the rarer one). As far as
    not (4 or fewer), it rests on the final model's own logits, those of the rarer class moved towards the other class,
    and both classes have the same weight, since the share of anomalies is as little known.
    """
    chosen = np.flatnonzero(labels.answered[labels.group_of])
    label, weights = labels.label[labels.group_of[chosen]], np.sqrt(labels.windows[chosen])
    sides = [label == side for side in (0.0, 1.0)]
    if not all(side.any() for side in sides):
        return fit(out_of_fold[chosen], label, weights)
    rare, usual = sorted(sides, key=lambda side: float(weights[side].sum()))
    remembered = final[chosen].copy()
    remembered[rare] -= _REMEMBERED * (remembered[rare] - np.average(remembered[usual], weights=weights[usual]))
    known = _known(labels)
    for side in sides:
        weights[side] /= float(weights[side].sum()) ** (1.0 - known)
    return fit(known * out_of_fold[chosen] + (1.0 - known) * remembered, label, weights)


def unseen_agreement(labels: GroupLabels, out_of_fold: Floats) -> Share:
    """How often models that had not seen an answer agree with it."""
    rows = np.flatnonzero(labels.answered)
    logits, label = out_of_fold[labels.first[rows]], labels.label[rows]
    return agreement(fit(logits, label, np.sqrt(labels.group_windows[rows])).probabilities(logits), label)


def _known(labels: GroupLabels) -> float:
    """From 0 to 1, how well the answers of the rarer class show what the class is."""
    answers = labels.label[labels.answered]
    rarer = min(int((answers == side).sum()) for side in (0.0, 1.0))
    return float(np.clip((rarer - _UNKNOWN_CLASS) / (_KNOWN_CLASS - _UNKNOWN_CLASS), 0.0, 1.0))
