import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from detector.model.runs import Runs
from trainer.data.signatures import LabelGroup
from trainer.labellers import Mixture
from trainer.labelling.base import Answer, Question
from trainer.labelling.collector import AnswerCollector
from trainer.labelling.grouping import label_groups
from trainer.labelling.ledger import LabelLedger
from trainer.labelling.retrieval import Match
from trainer.learning.distillation import Distillation, DistillationSettings, Distilled
from trainer.learning.group_labels import GroupLabels
from trainer.learning.routing import Routing
from trainer.learning.training import State
from trainer.progress import Progress
from trainer.testing import corpus

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

# Two hundred distinct windows, half of them with the event `bad`; how often each occurs varies from 1 to 7.
TARGET = corpus(
    [
        ["open"] * opens + ["work"] * works + ["bad"] * bad + ["close"]
        for opens in range(1, 11)
        for works in range(1, 11)
        for bad in (0, 1)
        for _ in range(1 + opens * works % 7)
    ],
    texts={"open": "opened", "work": "worked", "bad": "failed", "close": "closed"},
)
TRUTH = np.array([float("bad" in signature.counts()) for signature in TARGET.signatures])
WINDOW_ROOTS = np.sqrt([signature.windows for signature in TARGET.signatures])
GROUPS = label_groups(TARGET, 20_000)
ROUNDS = 3


class RuleLabeller:
    """A labeller that counts its calls: anomalous with `bad` in the window, the opposite for groups in `wrong`."""

    name = "rule"

    def __init__(self, *, abstain: bool = False, wrong: frozenset[str] = frozenset()) -> None:
        self.abstain, self.wrong = abstain, wrong
        self.asked: list[str] = []

    def label(self, questions: Sequence[Question]) -> list[Answer]:
        """Answers, counted."""
        self.asked += [question.group for question in questions]
        return [self._answer(question) for question in questions]

    def prompt_hash(self, question: Question) -> str:
        """Hash of the window alone."""
        return hashlib.sha256(repr(question.runs).encode()).hexdigest()

    def _answer(self, question: Question) -> Answer:
        bad = any(event == "bad" for event, _ in question.runs[0]) != (question.group in self.wrong)
        prompt_hash = self.prompt_hash(question)
        if self.abstain:
            return Answer(question.group, "abstain", 0.0, labeller=self.name, prompt_hash=prompt_hash)
        return Answer(
            question.group, "anomalous" if bad else "normal", 0.9, labeller=self.name, prompt_hash=prompt_hash
        )


class TableWorkers:
    """Workers whose model is a table of logits.

    Args:
        labeller: answers the questions.
        logits: of the source-only model.
        spoils: fine-tunings, counted from 0, after which the model is the opposite of what it should be.
    """

    def __init__(self, labeller: RuleLabeller, logits: Floats | None = None, spoils: Sequence[int] = ()) -> None:
        self.labeller = labeller
        self.table = np.zeros(len(TARGET.signatures)) if logits is None else logits
        self.spoils = spoils
        self.tunings: list[tuple[Floats, Floats]] = []
        self.known: list[str] = []

    def logits(self, rows: Rows | None = None) -> Floats:
        """The table, or rows of it."""
        return self.table.copy() if rows is None else self.table[rows]

    def state(self) -> State:
        """The table, to return to."""
        return {"table": self.table.astype(np.float32)}

    def restore(self, state: State) -> None:
        """Return to a table."""
        self.table = state["table"].astype(np.float64)

    def fine_tune(self, labels: Floats, weights: Floats, _steps: int, _mixture: Mixture) -> float:
        """Call windows anomalous that hold an event of which every labelled window is anomalous."""
        spoilt = len(self.tunings) in self.spoils
        self.tunings.append((labels.copy(), weights.copy()))
        if not weights.any():
            return 0.0
        rows = [int(row) for row in np.flatnonzero(weights > 0.0)]
        normal = {event for row in rows if labels[row] < 0.5 for event in TARGET.signatures[row].counts()}
        anomalous = {event for row in rows if labels[row] >= 0.5 for event in TARGET.signatures[row].counts()}
        found = np.array([bool((anomalous - normal) & s.counts().keys()) for s in TARGET.signatures])
        self.table = np.where(found != spoilt, 3.0, -3.0)
        return 0.1

    def add(self, groups: Sequence[str], _windows: Sequence[Runs]) -> None:
        """Remember groups."""
        self.known += groups

    def neighbors(self, groups: Sequence[str], _windows: Sequence[Runs]) -> list[list[Match]]:
        """Any known groups."""
        return [[Match(other, 0.8) for other in self.known if other != group][:3] for group in groups]

    def label(self, questions: Sequence[Question]) -> Iterator[list[Answer]]:
        """One batch."""
        yield self.labeller.label(questions)


@dataclass(frozen=True)
class Run:
    """A finished distillation."""

    result: Distilled
    collector: AnswerCollector


def run(workers: TableWorkers, path: Path, budget: int = 20_000, general: Floats | None = None) -> Run:
    """Distil with all groups, whatever the budget."""
    scores = np.linspace(0, 1, len(TARGET.signatures))
    routing = Routing(scores, scores > 0.5 if general is None else general > 0.0, 0.5, "min", False, None)
    with LabelLedger(path) as ledger:
        collector = AnswerCollector(TARGET, GROUPS, workers, workers, ledger, workers.labeller)
        settings = DistillationSettings(budget, ROUNDS, round_steps=1, final_steps=1)
        distillation = Distillation(TARGET, GROUPS, routing, workers, workers, collector, settings, Progress())
        return Run(distillation.run(), collector)


def rows(groups: Sequence[LabelGroup]) -> list[int]:
    """Signatures of groups."""
    return [member for group in groups for member in group.members]


def held_out(group: LabelGroup) -> bool:
    """The rule by which groups are held out of the rounds."""
    return int(group.id, 16) % 10 == 0


def found_anomalous(finished: Run) -> Floats:
    """1 for each signature that the final model calls anomalous."""
    return (finished.result.calibration.probabilities(finished.result.logits) >= 0.5).astype(np.float64)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Path of an empty ledger."""
    return tmp_path / "labels.jsonl"


def test_every_group_is_asked_once_where_the_budget_suffices(ledger: Path) -> None:
    """All groups are asked, none twice, and the model learns all of their labels at the end."""
    workers = TableWorkers(RuleLabeller())
    finished = run(workers, ledger)
    assert sorted(workers.labeller.asked) == sorted(group.id for group in GROUPS)
    assert finished.collector.asked == len(GROUPS)
    assert len(workers.tunings) == ROUNDS + GroupLabels.folds + 1
    labels, weights = workers.tunings[-1]
    assert (weights > 0.0).all()
    assert np.array_equal(labels, TRUTH)
    assert np.array_equal(found_anomalous(finished), TRUTH)
    metrics = finished.result.metrics
    assert (metrics.guard.value, metrics.guard.count) == (1.0, len(GROUPS))
    assert (metrics.answers, metrics.anomalous_answers) == (200, 100)
    assert metrics.alert_rate == pytest.approx(0.5)


@pytest.mark.parametrize(("logits", "low", "high"), [(6 * TRUTH - 3, 0.8, 1.0), (np.zeros(len(TRUTH)), 0.2, 0.8)])
def test_readiness_is_of_the_model_before_any_answer(ledger: Path, logits: Floats, low: float, high: float) -> None:
    """A source-only model that ranks windows well is ready, one that knows nothing is not."""
    metrics = run(TableWorkers(RuleLabeller(), logits), ledger).result.metrics
    assert 5 <= metrics.readiness.count < 20
    assert low <= metrics.readiness.value <= high
    assert metrics.guard.value == 1.0


def test_a_second_run_asks_nothing(ledger: Path) -> None:
    """What the ledger holds is not asked again, and the same labels are learned."""
    first, second = TableWorkers(RuleLabeller()), TableWorkers(RuleLabeller())
    run(first, ledger)
    finished = run(second, ledger)
    assert second.labeller.asked == []
    assert finished.collector.remembered == len(GROUPS)
    assert all(np.array_equal(one, other) for one, other in zip(first.tunings[-1], second.tunings[-1], strict=True))


def test_a_crash_in_a_round_loses_no_answer(ledger: Path) -> None:
    """A run that dies while labelling leaves its answers; the next one asks only for the rest."""

    class Dying(RuleLabeller):
        def label(self, questions: Sequence[Question]) -> list[Answer]:
            if len(self.asked) > 60:
                raise RuntimeError("power cut")
            return super().label(questions)

    workers, again = TableWorkers(Dying()), TableWorkers(RuleLabeller())
    with pytest.raises(RuntimeError, match="power cut"):
        run(workers, ledger)
    run(again, ledger)
    assert set(workers.labeller.asked).isdisjoint(again.labeller.asked)
    assert len(workers.labeller.asked) + len(again.labeller.asked) == len(GROUPS)


def test_a_small_budget_is_spent_whole_and_on_frequent_groups(ledger: Path) -> None:
    """With more groups than budget, audit and queue ask exactly the budget; the queue takes the most frequent."""
    workers = TableWorkers(RuleLabeller())
    finished = run(workers, ledger, budget=60)
    asked = set(workers.labeller.asked)
    assert len(workers.labeller.asked) == len(asked) == 60
    assert finished.result.metrics.answers == 60
    audited = set(workers.labeller.asked[:16])
    queued = [group.windows for group in GROUPS if group.id in asked - audited]
    assert min(queued) >= max(group.windows for group in GROUPS if group.id not in asked)


def test_uncertain_groups_are_asked_before_certain_ones(ledger: Path) -> None:
    """Among groups beyond the budget, those whose logit is near 0 come first."""
    uncertain = np.arange(len(TARGET.signatures)) % 2 == 0
    workers = TableWorkers(RuleLabeller(), np.where(uncertain, 0.0, 9.0))
    run(workers, ledger, budget=60)
    asked = set(workers.labeller.asked[16:])
    assert all(uncertain[list(group.members)].all() for group in GROUPS if group.id in asked)


def test_general_groups_keep_the_label_of_a_model_that_proved_ready(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the budget a ready source-only model labels the general groups, at less weight than an answer."""
    monkeypatch.setattr("trainer.learning.distillation._READY", 0.5)  # 16 answers prove no more
    workers = TableWorkers(RuleLabeller(), 6 * TRUTH - 3)
    finished = run(workers, ledger, budget=60, general=np.ones(len(TRUTH)))
    assert finished.result.metrics.labels_from_source_model == len(GROUPS) - 16
    unasked = rows([group for group in GROUPS if group.id not in workers.labeller.asked and not held_out(group)])
    labels, weights = workers.tunings[-1]
    assert np.array_equal(labels[unasked], TRUTH[unasked])
    assert (weights[unasked] > 0.0).all()
    assert (weights[unasked] < 0.7 * WINDOW_ROOTS[unasked]).all()


def test_too_few_answers_prove_no_readiness(ledger: Path) -> None:
    """Sixteen right answers leave the lower bound of readiness too low, so nothing is labelled by the model."""
    workers = TableWorkers(RuleLabeller(), 6 * TRUTH - 3)
    metrics = run(workers, ledger, budget=60, general=np.ones(len(TRUTH))).result.metrics
    assert metrics.readiness.value == 1.0
    assert metrics.labels_from_source_model is None


def test_held_out_answers_are_learned_in_no_round(ledger: Path) -> None:
    """Held-out groups have no weight in any round."""
    workers = TableWorkers(RuleLabeller())
    run(workers, ledger)
    held = rows([group for group in GROUPS if held_out(group)])
    assert len(held) > 10
    for _, weights in workers.tunings[:ROUNDS]:
        assert not weights[held].any()


def test_the_cross_fit_leaves_each_answer_out_once(ledger: Path) -> None:
    """Each signature has no weight in exactly one of the trainings of the cross-fit."""
    workers = TableWorkers(RuleLabeller())
    run(workers, ledger)
    left_out = [weights == 0.0 for _, weights in workers.tunings[ROUNDS : ROUNDS + GroupLabels.folds]]
    assert np.array_equal(np.sum(left_out, axis=0), np.ones(len(TRUTH)))


def test_a_model_that_only_remembers_is_not_believed(ledger: Path) -> None:
    """A network that is right about what it learned and never about anything else gets no steep calibration.

    Answers are drawn at random, so that counts explain nothing either. Calibrated on what the model has learned, the
    logit -3 or 3 of each window would be a sure sign.
    """

    class Remembering(TableWorkers):
        def fine_tune(self, labels: Floats, weights: Floats, steps: int, mixture: Mixture) -> float:
            super().fine_tune(labels, weights, steps, mixture)
            chance = np.where(np.random.default_rng(len(self.tunings)).random(len(labels)) < 0.5, -3.0, 3.0)
            self.table = np.where(weights > 0.0, 6.0 * labels - 3.0, chance)
            return 0.1

    drawn = np.random.default_rng(0).permutation(len(GROUPS))[: len(GROUPS) // 2]
    wrong = frozenset(GROUPS[number].id for number in drawn)
    finished = run(Remembering(RuleLabeller(wrong=wrong)), ledger)
    assert finished.result.calibration.temperature > 3.0
    assert finished.result.metrics.guard.value < 0.7


def test_a_disputed_answer_weighs_less(ledger: Path) -> None:
    """In the rounds an answer that contradicts the confident model has 0.7 of its weight, the others their own."""
    wrong = next(group for group in reversed(GROUPS) if not held_out(group))
    workers = TableWorkers(RuleLabeller(wrong=frozenset({wrong.id})), 6 * TRUTH - 3)
    finished = run(workers, ledger)
    assert finished.result.metrics.disputed == 1
    _, weights = workers.tunings[ROUNDS - 1]
    expected = 0.8 * WINDOW_ROOTS
    learned = [row for row in np.flatnonzero(weights > 0.0) if row not in wrong.members]
    assert np.allclose(weights[learned], expected[learned])
    assert np.allclose(weights[list(wrong.members)], 0.7 * expected[list(wrong.members)])


def test_an_answer_that_all_others_contradict_counts_little(ledger: Path) -> None:
    """At the end the one wrong answer weighs less than its confidence says, the others more; it is not believed."""
    wrong = next(group for group in reversed(GROUPS) if not held_out(group))
    workers = TableWorkers(RuleLabeller(wrong=frozenset({wrong.id})))
    finished = run(workers, ledger)
    _, weights = workers.tunings[-1]
    relative = weights / WINDOW_ROOTS
    assert relative[list(wrong.members)].max() < 0.7
    assert np.delete(relative, list(wrong.members)).min() > 0.85
    assert np.array_equal(found_anomalous(finished), TRUTH)


def test_a_round_that_hurts_is_rolled_back(ledger: Path) -> None:
    """Fine-tuning after which held-out answers are contradicted is undone, each time; others are kept."""
    workers = TableWorkers(RuleLabeller(), spoils=(1, 2))
    finished = run(workers, ledger)
    assert finished.result.metrics.rolled_back == 2
    assert np.array_equal(found_anomalous(finished), TRUTH)
    assert finished.result.metrics.guard.value == 1.0


def test_a_round_that_helps_is_kept(ledger: Path) -> None:
    """A bad first round is followed by better ones, and none of those is undone."""
    workers = TableWorkers(RuleLabeller(), logits=3 - 6 * TRUTH, spoils=(0,))
    finished = run(workers, ledger)
    assert finished.result.metrics.rolled_back == 0
    assert np.array_equal(found_anomalous(finished), TRUTH)


def test_abstentions_are_no_class(ledger: Path) -> None:
    """A labeller that only abstains teaches nothing, and the run still ends."""
    workers = TableWorkers(RuleLabeller(abstain=True))
    finished = run(workers, ledger)
    assert finished.result.metrics.abstentions == len(GROUPS)
    assert finished.result.metrics.transfer_readiness is None
    assert not any(weights.any() for _, weights in workers.tunings)
    assert finished.result.calibration.temperature == 1.0
