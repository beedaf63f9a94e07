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
from trainer.learning.count_regression import CountRegression
from trainer.learning.cross_fit import (
    calibrated,
    out_of_fold_logits,
    unseen_agreement,
    weigh_answers,
)
from trainer.learning.evaluation import (
    Share,
    TrainingMetrics,
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
    """What a distillation ends in, beside the learner's weights.

    Attributes:
        count_path: with a row for each of `events`.
        calibration: of the joined logit of network and count path.
        logits: [n] joined logit of every target signature.
        metrics: all but meta-learning's.
    """

    count_path: CountPath
    events: tuple[str, ...]
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
        self._routing = routing
        self._labels = GroupLabels(corpus, groups)
        self._regression = CountRegression(corpus)
        self._disputed: int | None = None
        self._rolled_back = 0
        self._from_source_model: int | None = None
        self._log = structlog.get_logger(__name__)

    def run(self) -> Distilled:
        """Audit, rounds, last fine-tuning, calibration."""
        source_model = self._learner.state()
        readiness = self._audit()
        queue = self._queue(readiness)
        batches = [batch for batch in np.array_split(queue, self._settings.rounds) if len(batch)]
        for number, batch in enumerate(batches):
            self._round(number, batch)
        weigh_answers(self._labels, self._regression)
        out_of_fold = self._cross_fit(source_model)
        loss = self._train("final", None, self._settings.final_steps)
        finished = self._finish(readiness, out_of_fold)
        guard = round(finished.metrics.guard.value, 4)
        self._log.info("model.fine_tuned", step="final", loss=round(loss, 4), guard=guard, rolled_back=False)
        return finished

    def _audit(self) -> Share:
        """Ask about a sample spread over similarity and frequency; the readiness of the source-only model."""
        labels, first = self._labels, self._labels.first
        count = len(labels.groups)
        size = max(min(16, count), min(self._settings.budget, count) // 10)
        similarity = self._routing.scores[first]
        order = np.lexsort((np.arange(count), -labels.group_windows, np.round(similarity, 2)))
        chosen = order[np.unique(np.linspace(0, count - 1, size).round().astype(int))]
        logits = self._learner.logits(first[chosen])
        self._progress.stage("audit", len(chosen))
        self._ask(chosen, 0)
        answered = labels.answered[chosen]
        rows = chosen[answered]
        label, root = labels.label[rows], np.sqrt(labels.group_windows[rows])
        readiness = transfer_readiness(logits[answered], label, root, self._routing.general[first[rows]])
        self._log.info("audit.done", asked=len(chosen), answered=len(rows), readiness=round(readiness.value, 3))
        if readiness.count and readiness.low >= _READY and count > self._settings.budget:
            self._trust_general(fit(logits[answered], label, root))
        return readiness

    def _trust_general(self, calibration: Calibration) -> None:
        """General groups without an answer keep the source-only model's label, at reduced weight."""
        labels = self._labels
        rows = np.flatnonzero(np.isnan(labels.label) & self._routing.general[labels.first])
        p = calibration.probabilities(self._learner.logits(labels.first[rows]))
        labels.label[rows] = (p >= 0.5).astype(float)  # noqa: PLR2004
        labels.weight[rows] = _DISPUTED * np.abs(2.0 * p - 1.0)
        self._from_source_model = len(rows)

    def _queue(self, readiness: Share) -> Rows:
        """Groups to ask about: all where the budget suffices, else the most frequent, uncertain and dissimilar."""
        groups, first = self._labels.groups, self._labels.first
        asked = {number for number, group in enumerate(groups) if group.id in self._collector.answers}
        rest = np.array([number for number in range(len(groups)) if number not in asked], np.intp)
        budget = self._settings.budget - len(asked)
        worth = np.sqrt(self._labels.group_windows[rest])
        if len(rest) > budget:
            uncertainty = 1.0 - np.abs(2.0 * sigmoid(self._learner.logits(first[rest])) - 1.0)
            distance = np.array([1.0 - (near[0].similarity if near else 0.0) for near in self._neighbors(rest)])
            worth = worth * (0.1 + uncertainty) * (0.05 + distance)
            if readiness.low >= _READY:
                worth = np.where(self._routing.general[first[rest]], 0.1 * worth, worth)
        return np.asarray(rest[np.lexsort((rest, -worth))][: max(0, budget)], np.intp)

    def _round(self, number: int, batch: Rows) -> None:
        settings, labels = self._settings, self._labels
        self._progress.stage(f"round {number + 1}", len(batch))
        before = self._learner.logits(labels.first[batch])
        self._ask(batch, number + 1)
        if number or labels.has_both_classes(~labels.held_out):
            self._check(batch, before, settings.epsilon - settings.epsilon_step * number)
        self._fine_tune(f"round {number + 1}")

    def _check(self, batch: Rows, logits: Floats, epsilon: float) -> None:
        """Dual check: an answer that a confident model contradicts gets less weight (paper section III-D)."""
        labels = self._labels
        answered = labels.answered[batch]
        rows = batch[answered]
        p = self._calibration_by_held_out().probabilities(logits[answered])
        confident = np.maximum(p, 1.0 - p) >= epsilon
        agreed = (p >= 0.5) == (labels.label[rows] >= 0.5)  # noqa: PLR2004
        disputed = rows[confident & ~agreed]
        labels.weight[disputed] *= _DISPUTED
        self._disputed = (self._disputed or 0) + len(disputed)
        clean = float((agreed & confident).mean()) if len(rows) else 0.0
        self._log.info("round.checked", answers=len(rows), clean_share=round(clean, 3), disputed=len(disputed))

    def _fine_tune(self, name: str) -> None:
        """Fine-tune for a round; undone where the model then agrees less with held-out answers."""
        state, before = self._learner.state(), self._held_out_agreement()
        loss = self._train(name, self._labels.held_out, self._settings.round_steps)
        after = self._held_out_agreement()
        rolled_back = after < before - _ROLL_BACK
        if rolled_back:
            self._learner.restore(state)
            self._rolled_back += 1
        self._log.info(
            "model.fine_tuned", step=name, loss=round(loss, 4), guard=round(after, 4), rolled_back=rolled_back
        )

    def _train(self, name: str, without: npt.NDArray[np.bool_] | None, steps: int) -> float:
        """Train at most `steps` batches on all labels but those of the groups left out [g]; the loss at the end."""
        if not self._labels.has_both_classes(None if without is None else ~without):
            self._log.warning("distillation.one_class", step=name, answers=int(self._labels.answered.sum()))
        self._progress.stage(f"fine-tune {name}", None)
        return self._learner.fine_tune(*self._labels.training(without), steps, self._settings.mixture)

    def _cross_fit(self, source_model: State) -> Floats:
        """Joined logits [n] of all signatures by models that had not seen the answers about them."""
        after_rounds = self._learner.state()

        def train_anew(labels: Floats, weights: Floats, fold: int) -> Floats:
            self._progress.stage(f"cross-fit {fold + 1} of {GroupLabels.folds}", None)
            self._learner.restore(source_model)
            self._learner.fine_tune(labels, weights, self._settings.final_steps, self._settings.mixture)
            return self._learner.logits()

        logits = out_of_fold_logits(self._labels, self._regression, train_anew)
        self._learner.restore(after_rounds)
        return logits

    def _finish(self, readiness: Share, out_of_fold: Floats) -> Distilled:
        labels = self._labels
        count_path = self._regression.fit(*labels.training())
        logits = joined(self._learner.logits(), self._regression.logits(count_path))
        calibration = calibrated(labels, out_of_fold, logits)
        given = [answer.label for answer in self._collector.answers.values()]
        metrics = TrainingMetrics(
            answers=len(given),
            abstentions=given.count("abstain"),
            anomalous_answers=given.count("anomalous"),
            guard=unseen_agreement(labels, out_of_fold),
            readiness=readiness,
            neighbors_agree=self._neighbors_agree(),
            alert_rate=alert_rate(calibration.probabilities(logits), labels.windows),
            routing=self._routing.statistics,
            disputed=self._disputed,
            rolled_back=self._rolled_back,
            labels_from_source_model=self._from_source_model,
        )
        return Distilled(count_path, self._regression.events, calibration, logits, metrics)

    def _neighbors_agree(self) -> float:
        """Share of answered groups, of a sample, whose nearest answered group has the same label.

        It bounds the noise of the labels.
        """
        labels = self._labels
        rows = np.flatnonzero(labels.answered)
        rows = rows[:: max(1, -(-len(rows) // _NEIGHBOR_SAMPLE))]
        label = {group.id: labels.label[i] for i, group in enumerate(labels.groups) if labels.answered[i]}
        pairs = [
            (labels.label[i], label[near[0].group])
            for i, near in zip(rows, self._neighbors(rows), strict=True)
            if near and near[0].group in label
        ]
        return share(float(sum(own == other for own, other in pairs)), len(pairs)).value

    def _ask(self, batch: Rows, number: int) -> None:
        groups = [self._labels.groups[i] for i in batch]
        self._labels.take(batch, self._collector.ask(groups, number, self._progress))

    def _neighbors(self, rows: Rows) -> list[list[Match]]:
        groups = [self._labels.groups[int(i)] for i in rows]
        return self._retrieval.neighbors(
            [group.id for group in groups], [self._collector.representative(group) for group in groups]
        )

    def _calibration_by_held_out(self) -> Calibration:
        """Of the network alone, during the rounds: by held-out answers; where those lack a class, by all answers."""
        labels = self._labels
        rows = labels.held_out_rows()
        if min((labels.label[rows] == side).sum() for side in (0.0, 1.0)) < _MIN_CLASS:
            rows = np.flatnonzero(labels.answered)
        weights = np.sqrt(labels.group_windows[rows])
        return fit(self._learner.logits(labels.first[rows]), labels.label[rows], weights)

    def _held_out_agreement(self) -> float:
        rows = self._labels.held_out_rows()
        if not len(rows):
            return 1.0
        logits = self._learner.logits(self._labels.first[rows])
        p = self._calibration_by_held_out().probabilities(logits)
        return balanced_agreement(p, self._labels.label[rows])
