import hashlib

import numpy as np
import pytest

from tests.trainer.miniature import corpus, history
from trainer.labelling.base import Answer
from trainer.labelling.collector import AnswerCollector
from trainer.labelling.grouping import label_groups
from trainer.labelling.ledger import LabelLedger
from trainer.labelling.retrieval import Match
from trainer.learning.distillation import Distillation, DistillationSettings
from trainer.learning.evaluation import Share
from trainer.learning.routing import Routing
from trainer.progress import Progress

WINDOWS, KINDS = history()
TARGET = corpus(WINDOWS)
RARE = {"gone"}


class Judge:
    """A labeller that counts its calls: anomalous when `gone` stands in the window."""

    name = "judge"

    def __init__(self, abstain=False):
        self.abstain = abstain
        self.asked = []

    def label(self, questions):
        """Answers, counted."""
        self.asked += [question.group for question in questions]
        return [self._answer(question) for question in questions]

    def prompt_hash(self, question):
        """Of the window alone."""
        return hashlib.sha256(repr(question.runs).encode()).hexdigest()

    def _answer(self, question):
        bad = any(event in RARE for event, _ in question.runs[0])
        label = "abstain" if self.abstain else "anomalous" if bad else "normal"
        return Answer(question.group, label, 0.9, labeller=self.name, prompt_hash=self.prompt_hash(question))


class Crew:
    """A crew whose model is a table of logits; `lessons` says what it becomes at each fine-tuning."""

    def __init__(self, judge, lessons=()):
        self.judge = judge
        self.lessons = list(lessons)
        self.table = np.zeros(len(TARGET.signatures))
        self.tunings = []
        self.known = []

    def logits(self):
        """The table."""
        return self.table.copy()

    def state(self):
        """The table, to go back to."""
        return {"table": self.table.copy()}

    def restore(self, state):
        """Back to a table."""
        self.table = state["table"].copy()

    def fine_tune(self, labels, weights, _steps, _mixture):
        """Become what the next lesson says."""
        self.tunings.append((labels.copy(), weights.copy()))
        lesson = self.lessons.pop(0) if self.lessons else "learn"
        truth = np.array([any(event in RARE for event, _ in s.runs) for s in TARGET.signatures])
        self.table = np.where(truth, 3.0, -3.0) if lesson == "learn" else np.where(truth, -3.0, 3.0)
        return 0.1

    def add(self, groups, _windows):
        """Remember groups."""
        self.known += groups

    def neighbors(self, groups, _windows):
        """Any known groups."""
        return [[Match(other, 0.8) for other in self.known if other != group][:3] for group in groups]

    def label(self, questions):
        """One batch."""
        yield self.judge.label(questions)


def _run(crew, path, budget=20_000, rounds=3):
    groups = label_groups(TARGET, budget)
    scores = np.linspace(0, 1, len(TARGET.signatures))
    routing = Routing(scores, scores > 0.5, 0.5, "min", False, {})
    with LabelLedger(path) as ledger:
        desk = AnswerCollector(TARGET, groups, crew, crew, ledger, crew.judge)
        settings = DistillationSettings(budget, rounds, round_steps=1, final_steps=1)
        return Distillation(TARGET, groups, routing, crew, crew, desk, settings, Progress()).run(), desk, groups


@pytest.fixture
def ledger(tmp_path):
    """Path of an empty ledger."""
    return tmp_path / "labels.jsonl"


def test_every_group_is_asked_once_where_the_budget_reaches(ledger):
    """All groups are asked, none twice, and the guard agrees with a model that learned."""
    crew = Crew(Judge())
    result, desk, groups = _run(crew, ledger)
    assert sorted(crew.judge.asked) == sorted(group.id for group in groups)
    assert desk.asked == len(groups)
    assert result.guard.value == 1.0
    assert isinstance(result.readiness, Share)
    assert len(crew.tunings) == 4


def test_a_second_run_pays_for_nothing(ledger):
    """What the ledger holds is not asked again, and the same labels are learned."""
    first, _, groups = _run(Crew(Judge()), ledger)
    crew = Crew(Judge())
    second, desk, _ = _run(crew, ledger)
    assert crew.judge.asked == []
    assert desk.remembered == len(groups)
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.weights, second.weights)


def test_a_crash_in_a_round_costs_no_answer(ledger):
    """A run that dies while labelling leaves its answers; the next one asks only for the rest."""

    class Dying(Judge):
        def label(self, questions):
            if len(self.asked) > 60:
                raise RuntimeError("power cut")
            return super().label(questions)

    crew = Crew(Dying())
    with pytest.raises(RuntimeError, match="power cut"):
        _run(crew, ledger)
    again = Crew(Judge())
    _, _, groups = _run(again, ledger)
    assert set(crew.judge.asked).isdisjoint(again.judge.asked)
    assert len(crew.judge.asked) + len(again.judge.asked) == len(groups)


def test_the_budget_is_kept(ledger):
    """With fewer answers than groups the audit and the queue together stay within the budget."""
    crew = Crew(Judge())
    result, _, groups = _run(crew, ledger, budget=20)
    assert len(crew.judge.asked) <= 20 or len(groups) <= 20
    assert result.metrics["answers"] <= max(20, len(groups))


def test_held_out_answers_are_never_learned(ledger):
    """The guard's groups have no weight in any fine-tuning."""
    crew = Crew(Judge())
    _, _, groups = _run(crew, ledger)
    guarded = [member for group in groups if int(group.id, 16) % 10 == 0 for member in group.members]
    assert guarded
    for _, weights in crew.tunings:
        assert not weights[guarded].any()


def test_a_round_that_hurts_is_rolled_back(ledger):
    """When the guard agrees less after a fine-tuning, the weights before it come back."""
    crew = Crew(Judge(), lessons=["learn", "spoil", "learn", "spoil"])
    result, _, _ = _run(crew, ledger)
    assert result.metrics["rolled_back"] >= 1.0
    assert result.guard.value == 1.0


def test_abstentions_are_no_class(ledger):
    """A labeller that only abstains teaches nothing, and the run still ends."""
    crew = Crew(Judge(abstain=True))
    result, _, groups = _run(crew, ledger)
    assert result.metrics["abstentions"] == len(groups)
    assert not any(weights.any() for _, weights in crew.tunings)
    assert result.calibration.temperature == 1.0
