"""Cross-fit: scores of answered windows by models that had not seen their answer, and what follows from them.

Scores of windows that a model was trained on are too sure. The answers are split into folds; each fold is scored by a
model trained without it. Such scores weigh the answers against each other, and calibrate the final model.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from detector.model.calibration import Calibration
from detector.model.count_path import CountPath, EventCounts, joined
from trainer.data.signatures import Corpus
from trainer.learning.answer_weights import chance_right, weight_of
from trainer.learning.calibration import fit
from trainer.learning.count_regression import fit_counts
from trainer.learning.group_labels import GroupLabels

Floats = npt.NDArray[np.float64]
_LEAST_OF_A_CLASS = 6
"""Answers. Of two anomalous ones among 45 (a history of 55 windows of HDFS), each scored by a model that knew only the
other one, the cross-fit took the final model for worthless."""
_REMEMBERED = 0.5
"""Share of the distance between the classes that is memory where a class has few answers. In the same history the two
anomalous answers lay 11 above the normal ones, and five of seven anomalies of the windows after it 4 to 6 above them."""

TrainAnew = Callable[[Floats, Floats, int], Floats]
"""Trains a network on labels [n] with weights [n], as fold number; logits [n] of all signatures."""


class CountRegression:
    """The path for counts of a corpus, fitted on the labels of its groups; `events` names its rows."""

    def __init__(self, corpus: Corpus) -> None:
        self.events = tuple(sorted(corpus.texts))
        row_of = {event: row for row, event in enumerate(self.events)}
        self._counts = EventCounts.of([signature.runs for signature in corpus.signatures], row_of)

    def fit(self, labels: Floats, weights: Floats) -> CountPath:
        """Fitted on labels [n] with weights [n]."""
        return fit_counts(self._counts, len(self.events), labels, weights)

    def logits(self, path: CountPath) -> Floats:
        """[n] logits of all signatures."""
        return path.logits(self._counts)

    def out_of_fold(self, labels: GroupLabels) -> Floats:
        """[n] logits of all signatures, each by a regression that had not seen the labels of its fold."""
        result = np.zeros(len(labels.windows))
        for fold in range(labels.folds):
            inside = labels.fold == fold
            found = self.logits(self.fit(*labels.training(inside)))
            chosen = inside[labels.group_of]
            result[chosen] = found[chosen]
        return result


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

    Where a class has so few answers that a model without a fold of them hardly knows the class, out-of-fold logits
    say little about the final model, and how many windows are anomalous is not known either. Then its own logits are
    calibrated, both classes with the same weight, those of the smaller class moved towards the other one by what the
    model only remembers.
    """
    chosen = np.flatnonzero(labels.answered[labels.group_of])
    label, weights = labels.label[labels.group_of[chosen]], np.sqrt(labels.windows[chosen])
    answers = labels.label[labels.answered]
    if min(int((answers == side).sum()) for side in (0.0, 1.0)) >= _LEAST_OF_A_CLASS:
        return fit(out_of_fold[chosen], label, weights)
    logits = final[chosen].copy()
    sides = [label == side for side in (0.0, 1.0)]
    if not all(side.any() for side in sides):
        return fit(logits, label, weights)
    few, many = sorted(sides, key=lambda side: int(side.sum()))
    logits[few] -= _REMEMBERED * (logits[few] - np.average(logits[many], weights=weights[many]))
    for side in sides:
        weights[side] /= float(weights[side].sum())
    return fit(logits, label, weights)
