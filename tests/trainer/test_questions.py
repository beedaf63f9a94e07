import hashlib

import pytest

from tests.trainer.miniature import corpus, history
from trainer.labelling.base import Answer
from trainer.labelling.collector import Desk, system_card
from trainer.labelling.grouping import label_groups
from trainer.labelling.ledger import LabelLedger
from trainer.progress import Progress

TARGET = corpus(history()[0])
CARD = system_card(TARGET)


class Hasher:
    """Knows a question by its most frequent window, as a prompt that shows one window does."""

    name = "asked"

    def __init__(self, exact=True):
        self.exact = exact

    def prompt_hash(self, question, _card):
        """Of the window, but not of how often each line of it repeats."""
        told = question.runs[0] if self.exact else sorted({event for event, _ in question.runs[0]})
        return hashlib.sha256(repr(told).encode()).hexdigest()


class Crew:
    """Answers each question once and remembers which it was asked."""

    def __init__(self, hasher):
        self.hasher = hasher
        self.asked = []

    def neighbours(self, groups, _windows):
        """None."""
        return [[] for _ in groups]

    def learn(self, *_):
        """Nothing."""

    def label(self, questions, card):
        """One batch a question."""
        for question in questions:
            self.asked.append(question.group)
            label = "anomalous" if len(self.asked) % 2 else "normal"
            yield [
                Answer(
                    question.group,
                    label,
                    0.9,
                    giver=self.hasher.name,
                    prompt_hash=self.hasher.prompt_hash(question, card),
                )
            ]


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    with LabelLedger(tmp_path / "labels.jsonl") as ledger:
        yield ledger


def _desk(groups, ledger, hasher):
    crew = Crew(hasher)
    return Desk(TARGET, groups, crew, ledger, hasher, CARD), crew


def test_answers_of_a_run_with_another_budget_count_for_the_groups_of_this_one(ledger):
    """Group ids change with the budget's view; what the ledger remembers belongs to the group that asks."""
    hasher = Hasher()
    fine = label_groups(TARGET, len(TARGET.signatures))
    _desk(fine, ledger, hasher)[0].ask(fine, 0, Progress())
    coarse = label_groups(TARGET, len(TARGET.signatures) // 2)
    assert {group.id for group in coarse}.isdisjoint(group.id for group in fine)

    desk, crew = _desk(coarse, ledger, hasher)
    answers = desk.ask(coarse, 0, Progress())
    assert crew.asked == []
    assert desk.remembered == len(coarse)
    assert [answer.group for answer in answers] == [group.id for group in coarse]
    assert set(desk.answers) == {group.id for group in coarse}


def test_groups_with_the_same_prompt_are_asked_once_and_all_answered(ledger):
    """Prompts can be the same where windows are not; the next run finds for each what this one learned."""
    hasher = Hasher(exact=False)
    groups = label_groups(TARGET, len(TARGET.signatures))
    desk, crew = _desk(groups, ledger, hasher)
    answers = desk.ask(groups, 0, Progress())
    assert len(crew.asked) == desk.asked == len(ledger) < len(groups)
    assert desk.asked + desk.remembered == len(groups)
    assert [answer.group for answer in answers] == [group.id for group in groups]
    assert all(answer.label != "abstain" for answer in answers)

    again, crew = _desk(groups, ledger, hasher)
    assert again.ask(groups, 0, Progress()) == answers
    assert crew.asked == []
