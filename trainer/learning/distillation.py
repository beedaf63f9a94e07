"""Distillation: from a labeller's answers to one small model, in rounds (paper section III-D).

1. Audit: ask about a sample, and compare the source-only model with the answers.
2. Rounds: ask about the most valuable groups, check the answers against the model, fine-tune on all answers so far.
   Fine-tuning is undone where the model then agrees less with held-out answers.
3. Weigh the answers by each other, fit the path for counts, fine-tune on all answers, and calibrate by cross-fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import structlog

from detector.model.calibration import Calibration, sigmoid
from detector.model.count_path import CountPath, joined
from trainer.data.signatures import Corpus, LabelGroup
from trainer.labellers import Mixture
from trainer.labelling.collector import AnswerCollector
from trainer.labelling.retrieval import FindsNeighbors, Match
from trainer.learning.calibration import fit
from trainer.learning.cross_fit import CountRegression, calibrated, out_of_fold_logits, weigh_answers
from trainer.learning.evaluation import (
    Share,
    TrainingMetrics,
    agreement,
    alert_rate,
    balanced_agreement,
    share,
    transfer_readiness,
)
from trainer.learning.group_labels import GroupLabels
from trainer.learning.routing import Routing
from trainer.learning.training import SmallModelLearner, State
from trainer.progress import Progress

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

_READY = 0.9
"""Lower bound of transfer readiness from which general signatures keep the source-only model's label."""
_ROLL_BACK = 0.02
_DISPUTED = 0.7
_MIN_CLASS = 6
_NEIGHBOR_SAMPLE = 2_000


@dataclass(frozen=True)
class DistillationSettings:
    """Limits and rates of a distillation.

    Attributes:
        budget: answers to ask for.
        rounds: rounds after the audit.
        epsilon: confidence from which the model disputes an answer in the first round.
        epsilon_step: decrease of `epsilon` per round.
        round_steps, final_steps: batches of each fine-tuning.
        mixture: shares of a batch.
    """

    budget: int
    rounds: int = 5
    epsilon: float = 0.9
    epsilon_step: float = 0.05
    round_steps: int = 30
    final_steps: int = 500
    mixture: Mixture = field(default_factory=Mixture)


@dataclass(frozen=True)
class Distilled:
    """Calibration fitted on held-out answers, logits [n] of every target signature, metrics but meta-learning's."""

    calibration: Calibration
    logits: Floats
    metrics: TrainingMetrics


class Distillation:
    """One distillation; `corpus` is the target, `groups` are all of its label groups."""

    def __init__(
        self,
        corpus: Corpus,
        groups: Sequence[LabelGroup],
        routing: Routing,
        learner: SmallModelLearner,
        retrieval: FindsNeighbors,
        collector: AnswerCollector,
        settings: DistillationSettings,
        progress: Progress,
    ) -> None:
        self._learner, self._retrieval, self._collector = learner, retrieval, collector
        self._settings, self._progress = settings, progress
        self._groups = list(groups)
        self._routing = routing
        self._windows = np.array([signature.windows for signature in corpus.signatures], np.float64)
        self._group_windows = np.array([group.windows for group in self._groups], np.float64)
        self._group_of = np.zeros(len(corpus.signatures), np.int64)
        for number, group in enumerate(self._groups):
            self._group_of[list(group.members)] = number
        self._first = np.array([group.members[0] for group in self._groups])
        self._held_out = np.array([int(group.id, 16) % _HELD_OUT_DIVISOR == 0 for group in self._groups])
        # Per group: 1 for anomalous, 0 for normal, NaN without a label.
        self._label = np.full(len(self._groups), np.nan)
        self._weight = np.zeros(len(self._groups))
        self._disputed: int | None = None
        self._rolled_back = 0
        self._from_source_model: int | None = None
        self._log = structlog.get_logger(__name__)

    def run(self) -> Distilled:
        """Audit, rounds, last fine-tuning, calibration."""
        readiness = self._audit()
        queue = self._queue(readiness)
        batches = [batch for batch in np.array_split(queue, self._settings.rounds) if len(batch)]
        for number, batch in enumerate(batches):
            self._round(number, batch)
        self._fine_tune(self._settings.final_steps, "final")
        return self._finish(readiness)

    def _audit(self) -> Share:
        """Ask about a sample spread over similarity and frequency; the readiness of the source-only model."""
        size = max(min(16, len(self._groups)), min(self._settings.budget, len(self._groups)) // 10)
        similarity = self._routing.scores[self._first]
        order = np.lexsort((np.arange(len(self._groups)), -self._group_windows, np.round(similarity, 2)))
        chosen = order[np.unique(np.linspace(0, len(order) - 1, size).round().astype(int))]
        logits = self._learner.logits()[self._first]
        self._progress.stage("audit", len(chosen))
        self._ask(chosen, 0)
        answered = chosen[~np.isnan(self._label[chosen])]
        label, root = self._label[answered], np.sqrt(self._group_windows[answered])
        general = self._routing.general[self._first[answered]]
        readiness = transfer_readiness(logits[answered], label, root, general)
        self._log.info("audit.done", asked=len(chosen), answered=len(answered), readiness=round(readiness.value, 3))
        if readiness.count and readiness.low >= _READY and len(self._groups) > self._settings.budget:
            self._trust_general(fit(logits[answered], label, root))
        return readiness

    def _trust_general(self, calibration: Calibration) -> None:
        """General groups without an answer keep the source-only model's label, at reduced weight."""
        p = calibration.probabilities(self._learner.logits()[self._first])
        kept = np.isnan(self._label) & self._routing.general[self._first]
        self._label[kept] = (p[kept] >= 0.5).astype(float)  # noqa: PLR2004
        self._weight[kept] = _DISPUTED * np.abs(2.0 * p[kept] - 1.0)
        self._from_source_model = int(kept.sum())

    def _queue(self, readiness: Share) -> Rows:
        """Groups to ask about: all where the budget suffices, else the most frequent, uncertain and dissimilar."""
        asked = {number for number, group in enumerate(self._groups) if group.id in self._collector.answers}
        rest = np.array([number for number in range(len(self._groups)) if number not in asked], np.intp)
        budget = self._settings.budget - len(asked)
        worth = np.sqrt(self._group_windows[rest])
        if len(rest) > budget:
            uncertainty = 1.0 - np.abs(2.0 * sigmoid(self._learner.logits()[self._first[rest]]) - 1.0)
            distance = np.array([1.0 - (near[0].similarity if near else 0.0) for near in self._neighbors(rest)])
            worth = worth * (0.1 + uncertainty) * (0.05 + distance)
            if readiness.low >= _READY:
                worth = np.where(self._routing.general[self._first[rest]], 0.1 * worth, worth)
        return np.asarray(rest[np.lexsort((rest, -worth))][: max(0, budget)], np.intp)

    def _round(self, number: int, batch: Rows) -> None:
        settings = self._settings
        self._progress.stage(f"round {number + 1}", len(batch))
        before = self._learner.logits()[self._first]
        self._ask(batch, number + 1)
        if number or self._has_both_classes():
            self._check(batch, before, settings.epsilon - settings.epsilon_step * number)
        self._fine_tune(settings.round_steps, f"round {number + 1}")

    def _check(self, batch: Rows, logits: Floats, epsilon: float) -> None:
        """Dual check: an answer that a confident model contradicts gets less weight (paper section III-D)."""
        answered = batch[~np.isnan(self._label[batch])]
        p = self._calibrated(logits).probabilities(logits[answered])
        confident = np.maximum(p, 1.0 - p) >= epsilon
        agreed = (p >= 0.5) == (self._label[answered] >= 0.5)  # noqa: PLR2004
        disputed = answered[confident & ~agreed]
        self._weight[disputed] *= _DISPUTED
        self._disputed = (self._disputed or 0) + len(disputed)
        clean = float((agreed & confident).mean()) if len(answered) else 0.0
        self._log.info("round.checked", answers=len(answered), clean_share=round(clean, 3), disputed=len(disputed))

    def _fine_tune(self, steps: int, name: str) -> None:
        """Fine-tune on all labels; undone where the model then agrees less with held-out answers."""
        if not self._has_both_classes():
            self._log.warning("distillation.one_class", step=name, answers=int((~np.isnan(self._label)).sum()))
        self._progress.stage(f"fine-tune {name}", None)
        state = self._learner.state()
        before = self._held_out_agreement()
        # Held-out groups have weight 0, so the model never trains on them.
        weight = np.where(np.isnan(self._label) | self._held_out, 0.0, self._weight)[self._group_of]
        labels = np.nan_to_num(self._label)[self._group_of]
        loss = self._learner.fine_tune(labels, weight * np.sqrt(self._windows), steps, self._settings.mixture)
        after = self._held_out_agreement()
        rolled_back = after < before - _ROLL_BACK
        if rolled_back:
            self._learner.restore(state)
            self._rolled_back += 1
        self._log.info(
            "model.fine_tuned", step=name, loss=round(loss, 4), guard=round(after, 4), rolled_back=rolled_back
        )

    def _finish(self, readiness: Share) -> Distilled:
        logits = self._learner.logits()
        calibration = self._calibrated(logits[self._first])
        held_out = self._held_out_rows()
        labels = [answer.label for answer in self._collector.answers.values()]
        metrics = TrainingMetrics(
            answers=len(labels),
            abstentions=labels.count("abstain"),
            anomalous_answers=labels.count("anomalous"),
            guard=agreement(calibration.probabilities(logits[self._first[held_out]]), self._label[held_out]),
            readiness=readiness,
            neighbors_agree=self._neighbors_agree(),
            alert_rate=alert_rate(calibration.probabilities(logits), self._windows),
            routing=self._routing.statistics,
            disputed=self._disputed,
            rolled_back=self._rolled_back,
            labels_from_source_model=self._from_source_model,
        )
        return Distilled(calibration, logits, metrics)

    def _neighbors_agree(self) -> float:
        """Share of labelled groups whose nearest labelled group has the same label: a bound on the label noise."""
        rows = np.flatnonzero(~np.isnan(self._label))
        label = {self._groups[i].id: self._label[i] for i in rows}
        nearest = [(i, near[0].group) for i, near in zip(rows, self._neighbors(rows), strict=True) if near]
        pairs = [(self._label[i], label[other]) for i, other in nearest if other in label]
        return share(float(sum(own == other for own, other in pairs)), len(pairs)).value

    def _ask(self, batch: Rows, number: int) -> None:
        answers = self._collector.ask([self._groups[i] for i in batch], number, self._progress)
        for i, answer in zip(batch, answers, strict=True):
            if answer.label != "abstain":
                self._label[i] = float(answer.label == "anomalous")
                self._weight[i] = max(_LEAST_WEIGHT, 2.0 * answer.confidence - 1.0)

    def _neighbors(self, rows: Rows) -> list[list[Match]]:
        groups = [self._groups[int(i)] for i in rows]
        return self._retrieval.neighbors(
            [group.id for group in groups], [self._collector.representative(group) for group in groups]
        )

    def _held_out_rows(self) -> Rows:
        return np.flatnonzero(self._held_out & ~np.isnan(self._label))

    def _has_both_classes(self) -> bool:
        label = self._label[~self._held_out]
        return bool((label == 1.0).any() and (label == 0.0).any())

    def _calibrated(self, logits: Floats) -> Calibration:
        """Fitted on held-out answers; where those lack a class, on all answers."""
        rows = self._held_out_rows()
        if min((self._label[rows] == side).sum() for side in (0.0, 1.0)) < _MIN_CLASS:
            rows = np.flatnonzero(~np.isnan(self._label))
        weights = np.sqrt(self._group_windows[rows]) * np.maximum(self._weight[rows], _LEAST_WEIGHT)
        return fit(logits[rows], self._label[rows], weights)

    def _held_out_agreement(self) -> float:
        rows = self._held_out_rows()
        if not len(rows):
            return 1.0
        logits = self._learner.logits()[self._first]
        return balanced_agreement(self._calibrated(logits).probabilities(logits[rows]), self._label[rows])
