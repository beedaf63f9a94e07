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


def calibrated(labels: GroupLabels, logits: Floats) -> Calibration:
    """The calibration by which logits [n] of signatures fit the labeller's answers, √windows as weights."""
    chosen = np.flatnonzero(labels.answered[labels.group_of])
    return fit(logits[chosen], labels.label[labels.group_of[chosen]], np.sqrt(labels.windows[chosen]))
