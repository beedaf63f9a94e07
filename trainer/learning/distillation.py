"""Distillation: from a labeller's answers to one small model, in rounds (design `recipe.md` 4 to 7).

Audit a sample, ask about what is worth most, check each answer against the model, learn from everything asked so far,
go back when a round made the model agree less with held-out answers, and calibrate on those in the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import structlog

from trainer.data.signatures import Corpus, LabelGroup
from trainer.labellers import Mixture
from trainer.labelling.base import Answer
from trainer.labelling.collector import AnswerCollector
from trainer.labelling.retrieval import FindsNeighbors
from trainer.learning.calibration import Calibration, fit
from trainer.learning.evaluation import Share, agreement, balanced_agreement, share, transfer_readiness
from trainer.learning.routing import Routing
from trainer.learning.training import Learner, State
from trainer.progress import Progress

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_READY = 0.9
"""Lower bound of transfer readiness from which general signatures keep the source-only model's label."""
_ROLL_BACK = 0.02
_DISPUTED = 0.7
_LEAST_WEIGHT = 0.7
_GUARD_DIVISOR = 10
_ROUND_STEPS = 30
_MIN_CLASS = 6


@dataclass(frozen=True)
class DistillationSettings:
    """How much is asked, in how many rounds, and how long the model learns."""

    budget: int
    rounds: int = 5
    epsilon: float = 0.9
    epsilon_step: float = 0.05
    round_steps: int = _ROUND_STEPS
    final_steps: int = 500
    mixture: Mixture = field(default_factory=Mixture)


@dataclass(frozen=True)
class Distilled:
    """What came out.

    Attributes:
        calibration: fitted on held-out answers.
        readiness: agreement of the source-only model with the labeller on the general part of the audit.
        guard: agreement of the final model with held-out answers.
        logits: [n] of every target signature.
        labels, weights: [n] what was learned; weight 0 where nothing was known.
        metrics: counts and shares for the manifest.
    """

    calibration: Calibration
    readiness: Share
    guard: Share
    logits: Floats
    labels: Floats
    weights: Floats
    metrics: dict[str, float]


class Distillation:
    """One distillation.

    Args:
        corpus: the target.
        groups: its label groups.
        routing: which signatures are general.
        learner: trains the small model.
        retrieval: finds answered groups.
        collector: collects answers.
        settings: see there.
        progress: gets rounds and answers.
    """

    def __init__(
        self,
        corpus: Corpus,
        groups: Sequence[LabelGroup],
        routing: Routing,
        learner: Learner,
        retrieval: FindsNeighbors,
        collector: AnswerCollector,
        settings: DistillationSettings,
        progress: Progress,
    ) -> None:
        self._learner, self._retrieval, self._collector = learner, retrieval, collector
        self._settings, self._progress = settings, progress
        self._groups = list(groups)
        self._routing = routing
        count = len(corpus.signatures)
        self._root = np.sqrt(np.array([signature.windows for signature in corpus.signatures], np.float64))
        self._group_of = np.zeros(count, np.int64)
        for number, group in enumerate(self._groups):
            self._group_of[list(group.members)] = number
        self._first = np.array([group.members[0] for group in self._groups])
        self._guarded = np.array([int(group.id, 16) % _GUARD_DIVISOR == 0 for group in self._groups])
        self._label = np.full(len(self._groups), np.nan)
        self._weight = np.zeros(len(self._groups))
        self._metrics: dict[str, float] = {}
        self._log = structlog.get_logger(__name__)

    def run(self) -> Distilled:
        """Audit, rounds, last fine-tuning, calibration."""
        readiness = self._audit()
        queue = self._queue(readiness)
        batches = [batch for batch in np.array_split(queue, self._settings.rounds) if len(batch)]
        for number, batch in enumerate(batches):
            self._round(number, batch)
        self._learn(self._settings.final_steps, "final")
        return self._finish(readiness)

    def _audit(self) -> Share:
        """Ask about a sample spread over similarity and frequency; how far the source-only model can be trusted."""
        size = max(min(16, len(self._groups)), min(self._settings.budget, len(self._groups)) // 10)
        similarity = self._routing.scores[self._first]
        frequency = np.array([group.windows for group in self._groups], np.float64)
        order = np.lexsort((np.arange(len(self._groups)), -frequency, np.round(similarity, 2)))
        chosen = order[np.unique(np.linspace(0, len(order) - 1, size).round().astype(int))]
        logits = self._learner.logits()[self._first]
        self._progress.stage("audit", len(chosen))
        self._take(chosen, self._ask(chosen, 0))
        told = chosen[~np.isnan(self._label[chosen])]
        readiness = transfer_readiness(
            logits[told], self._label[told], np.sqrt(frequency[told]), self._routing.general[self._first[told]]
        )
        self._log.info("audit.done", asked=len(chosen), answered=len(told), readiness=round(readiness.value, 3))
        if readiness.count and readiness.low >= _READY and len(self._groups) > self._settings.budget:
            self._trust_general(fit(logits[told], self._label[told], np.sqrt(frequency[told])))
        return readiness

    def _trust_general(self, calibration: Calibration) -> None:
        """General groups that nobody was asked about keep the source-only model's label, at half weight."""
        p = calibration.probabilities(self._learner.logits()[self._first])
        kept = np.isnan(self._label) & self._routing.general[self._first]
        self._label[kept] = (p[kept] >= 0.5).astype(float)  # noqa: PLR2004
        self._weight[kept] = _DISPUTED * np.abs(2.0 * p[kept] - 1.0)
        self._metrics["labels_from_source_model"] = float(kept.sum())

    def _queue(self, readiness: Share) -> npt.NDArray[np.intp]:
        """All that is left where the budget reaches; else frequent, uncertain, dissimilar groups first."""
        rest = np.array([number for number in range(len(self._groups)) if number not in self._asked], np.intp)
        budget = self._settings.budget - len(self._asked)
        frequency = np.sqrt(np.array([self._groups[number].windows for number in rest], np.float64))
        if len(rest) > budget:
            logits = self._learner.logits()[self._first[rest]]
            uncertainty = 1.0 - np.abs(2.0 / (1.0 + np.exp(-np.clip(logits, -30, 30))) - 1.0)
            near = self._retrieval.neighbors([self._groups[i].id for i in rest], self._windows(rest))
            distance = np.array([1.0 - (matches[0].similarity if matches else 0.0) for matches in near])
            trusted = readiness.low >= _READY
            worth = frequency * (0.1 + uncertainty) * (0.05 + distance)
            worth = np.where(trusted & self._routing.general[self._first[rest]], 0.1 * worth, worth)
        else:
            worth = frequency
        return np.asarray(rest[np.lexsort((rest, -worth))][: max(0, budget)], np.intp)

    def _round(self, number: int, batch: npt.NDArray[np.intp]) -> None:
        settings = self._settings
        self._progress.stage(f"round {number + 1}", len(batch))
        before = self._learner.logits()[self._first]
        answers = self._ask(batch, number + 1)
        self._take(batch, answers)
        if number or self._enough():
            self._check(batch, before, settings.epsilon - settings.epsilon_step * number)
        self._learn(settings.round_steps, f"round {number + 1}")

    def _check(self, batch: npt.NDArray[np.intp], logits: Floats, epsilon: float) -> None:
        """Dual check: an answer that a sure model contradicts counts less (paper III-D, ε falls by round)."""
        told = batch[~np.isnan(self._label[batch])]
        p = self._calibrated(logits).probabilities(logits[told])
        sure = np.maximum(p, 1.0 - p) >= epsilon
        agreed = (p >= 0.5) == (self._label[told] >= 0.5)  # noqa: PLR2004
        disputed = told[sure & ~agreed]
        self._weight[disputed] *= _DISPUTED
        self._metrics["disputed"] = self._metrics.get("disputed", 0.0) + len(disputed)
        clean = float((agreed & sure).mean()) if len(told) else 0.0
        self._log.info("round.checked", answers=len(told), clean_share=round(clean, 3), disputed=len(disputed))

    def _learn(self, steps: int, name: str) -> None:
        """Fine-tune on everything labelled so far; back to the weights before if the guard agrees less."""
        if not self._enough():
            self._log.warning("distillation.one_class", step=name, answers=int((~np.isnan(self._label)).sum()))
        self._progress.stage(f"fine-tune {name}", None)
        state: State = self._learner.state()
        before = self._guard_agreement()
        labels, weights = self._signature_labels()
        loss = self._learner.fine_tune(labels, weights, steps, self._settings.mixture)
        after = self._guard_agreement()
        rolled_back = after < before - _ROLL_BACK
        if rolled_back:
            self._learner.restore(state)
            self._metrics["rolled_back"] = self._metrics.get("rolled_back", 0.0) + 1.0
        self._log.info(
            "model.fine_tuned", step=name, loss=round(loss, 4), guard=round(after, 4), rolled_back=rolled_back
        )

    def _finish(self, readiness: Share) -> Distilled:
        logits = self._learner.logits()
        calibration = self._calibrated(logits[self._first])
        held = self._guard_rows()
        guard = agreement(calibration.probabilities(logits[self._first[held]]), self._label[held])
        labels, weights = self._signature_labels()
        answers = list(self._collector.answers.values())
        told = [answer for answer in answers if answer.label != "abstain"]
        anomalous = sum(answer.label == "anomalous" for answer in told)
        self._metrics |= {
            "answers": float(len(answers)),
            "abstentions": float(len(answers) - len(told)),
            "anomalous_answers": float(anomalous),
            "guard_agreement": guard.value,
            "guard_agreement_low": guard.low,
            "guard_agreement_high": guard.high,
            "guard_answers": float(guard.count),
            "readiness_low": readiness.low,
            "readiness_high": readiness.high,
            "readiness_answers": float(readiness.count),
            "neighbours_agree": self._neighbours_agree().value,
        }
        return Distilled(calibration, readiness, guard, logits, labels, weights, self._metrics)

    def _neighbours_agree(self) -> Share:
        """How often a told group's nearest told group has its label: a bound on the labeller's noise."""
        told = np.flatnonzero(~np.isnan(self._label))
        near = self._retrieval.neighbors([self._groups[i].id for i in told], self._windows(told))
        label = {self._groups[i].id: self._label[i] for i in told}
        pairs = [(i, m[0].group) for i, m in zip(told, near, strict=True) if m and m[0].group in label]
        return share(float(sum(self._label[i] == label[other] for i, other in pairs)), len(pairs))

    def _ask(self, batch: npt.NDArray[np.intp], number: int) -> list[Answer]:
        return self._collector.ask([self._groups[i] for i in batch], number, self._progress)

    def _take(self, batch: npt.NDArray[np.intp], answers: Sequence[Answer]) -> None:
        for i, answer in zip(batch, answers, strict=True):
            if answer.label != "abstain":
                self._label[i] = float(answer.label == "anomalous")
                self._weight[i] = max(_LEAST_WEIGHT, 2.0 * answer.confidence - 1.0)

    @property
    def _asked(self) -> set[int]:
        return {number for number, group in enumerate(self._groups) if group.id in self._collector.answers}

    def _windows(self, numbers: npt.NDArray[np.intp]) -> list[tuple[tuple[str, int], ...]]:
        return [self._collector.representative(self._groups[int(i)]) for i in numbers]

    def _guard_rows(self) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self._guarded & ~np.isnan(self._label))

    def _enough(self) -> bool:
        free = ~self._guarded & ~np.isnan(self._label)
        return bool((self._label[free] == 1.0).any() and (self._label[free] == 0.0).any())

    def _signature_labels(self) -> tuple[Floats, Floats]:
        """Labels and weights of all signatures; held-out groups weigh nothing."""
        weight = np.where(np.isnan(self._label) | self._guarded, 0.0, self._weight)
        return np.nan_to_num(self._label)[self._group_of], weight[self._group_of] * self._root

    def _calibrated(self, logits: Floats) -> Calibration:
        """Fitted on held-out answers; where those lack a class, on all answers."""
        rows = self._guard_rows()
        if min((self._label[rows] == side).sum() for side in (0.0, 1.0)) < _MIN_CLASS:
            rows = np.flatnonzero(~np.isnan(self._label))
        root = np.sqrt(np.array([self._groups[i].windows for i in rows], np.float64))
        return fit(logits[rows], self._label[rows], root * np.maximum(self._weight[rows], _LEAST_WEIGHT))

    def _guard_agreement(self) -> float:
        rows = self._guard_rows()
        if not len(rows):
            return 1.0
        logits = self._learner.logits()[self._first]
        return balanced_agreement(self._calibrated(logits).probabilities(logits[rows]), self._label[rows])
