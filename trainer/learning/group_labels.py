"""What is known about label groups while answers come in: labels, and how much they count."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainer.data.signatures import Corpus, LabelGroup
from trainer.labelling.base import Answer
from trainer.learning.answer_weights import weight_of

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

_HELD_OUT_DIVISOR = 10


class GroupLabels:
    """Labels of all label groups of a corpus; g groups, n signatures.

    Attributes:
        groups: all of them.
        windows: [n] windows of each signature.
        group_windows: [g] windows of each group.
        first: [g] signature that represents a group.
        group_of: [n] group of each signature.
        held_out: [g] whether the rounds learn nothing from a group, so that its answer can judge them.
        fold: [g] part of the cross-fit, 0 to `folds` - 1.
        label: [g] 1 for anomalous, 0 for normal, NaN without a label.
        confidence: [g] the labeller's, 0 without an answer.
        weight: [g] how much a label counts, 0 to 1.
        answered: [g] whether the label is a labeller's answer, not the small model's own.
    """

    folds = 3

    def __init__(self, corpus: Corpus, groups: Sequence[LabelGroup]) -> None:
        self.groups = list(groups)
        count = len(self.groups)
        self.windows = np.array([signature.windows for signature in corpus.signatures], np.float64)
        self.group_windows = np.array([group.windows for group in self.groups], np.float64)
        self.first = np.array([group.members[0] for group in self.groups], np.intp)
        self.group_of = np.zeros(len(corpus.signatures), np.int64)
        for number, group in enumerate(self.groups):
            self.group_of[list(group.members)] = number
        place = np.array([int(group.id, 16) for group in self.groups], np.uint64)
        self.held_out = place % _HELD_OUT_DIVISOR == 0
        self.fold = (place // _HELD_OUT_DIVISOR % self.folds).astype(np.int64)
        self.label = np.full(count, np.nan)
        self.confidence = np.zeros(count)
        self.weight = np.zeros(count)
        self.answered = np.zeros(count, np.bool_)

    def take(self, rows: Rows, answers: Sequence[Answer]) -> None:
        """Take a labeller's answers about groups; an abstention is no label."""
        for row, answer in zip(rows, answers, strict=True):
            if answer.label != "abstain":
                self.label[row] = float(answer.label == "anomalous")
                self.confidence[row] = answer.confidence
                self.answered[row] = True
        self.weight[rows] = np.where(self.answered[rows], weight_of(self.confidence[rows]), 0.0)

    def held_out_rows(self) -> Rows:
        """Held-out groups with a labeller's answer."""
        return np.flatnonzero(self.held_out & self.answered)

    def has_both_classes(self, among: Bools | None = None) -> bool:
        """Whether labels that count are of both classes, among all groups or those chosen [g]."""
        used = self.weight > 0.0 if among is None else (self.weight > 0.0) & among
        return bool((self.label[used] == 1.0).any() and (self.label[used] == 0.0).any())

    def training(self, without: Bools | None = None) -> tuple[Floats, Floats]:
        """Labels and weights [n] of signatures for training, of weight 0 in the groups left out [g]."""
        unused = np.isnan(self.label) if without is None else np.isnan(self.label) | without
        weight = np.where(unused, 0.0, self.weight)[self.group_of]
        return np.nan_to_num(self.label)[self.group_of], weight * np.sqrt(self.windows)
