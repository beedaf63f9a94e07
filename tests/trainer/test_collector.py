import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from detector.model.runs import Runs
from trainer.data.signatures import LabelGroup
from trainer.labelling.base import Answer, Question
from trainer.labelling.collector import AnswerCollector
from trainer.labelling.grouping import label_groups
from trainer.labelling.ledger import Entry, LabelLedger
from trainer.labelling.retrieval import Match
from trainer.progress import Progress
from trainer.testing import FakeLabeller, corpus, history

TARGET = corpus(history()[0])


class NothingNear:
    """Retrieval without neighbors."""

    def add(self, groups: Sequence[str], windows: Sequence[Runs]) -> None:
        pass

    def neighbors(self, groups: Sequence[str], windows: Sequence[Runs]) -> list[list[Match]]:
        return [[] for _ in groups]


class OneByOne(FakeLabeller):
    """Answers each question in a batch of its own; a prompt shows one window, `exact` or as a set of events."""

    def __init__(self, exact: bool = True) -> None:
        super().__init__()
        self.exact = exact

    def prompt_hash(self, question: Question) -> str:
        asked = question.runs[0] if self.exact else sorted({event for event, _ in question.runs[0]})
        return hashlib.sha256(repr(asked).encode()).hexdigest()

    def batches(self, questions: Sequence[Question]) -> Iterator[list[Answer]]:
        return (self.label([question]) for question in questions)


class Pool:
    """The labeller behind the interface of a pool."""

    def __init__(self, labeller: OneByOne) -> None:
        self.label = labeller.batches


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LabelLedger]:
    """An empty ledger."""
    with LabelLedger(tmp_path / "labels.jsonl") as ledger:
        yield ledger


def _collector(groups: Sequence[LabelGroup], ledger: LabelLedger, labeller: OneByOne) -> AnswerCollector:
    return AnswerCollector(TARGET, groups, NothingNear(), Pool(labeller), ledger, labeller)


def test_answers_of_a_run_with_another_budget_count_for_the_groups_of_this_one(ledger: LabelLedger) -> None:
    """Group ids change with the budget's view; an answer in the ledger belongs to the group that asks now."""
    fine = label_groups(TARGET, len(TARGET.signatures))
    _collector(fine, ledger, OneByOne()).ask(fine, 0, Progress())
    coarse = label_groups(TARGET, len(TARGET.signatures) // 2)
    assert {group.id for group in coarse}.isdisjoint(group.id for group in fine)

    labeller = OneByOne()
    collector = _collector(coarse, ledger, labeller)
    answers = collector.ask(coarse, 0, Progress())
    assert labeller.asked == []
    assert collector.remembered == len(coarse)
    assert [answer.group for answer in answers] == [group.id for group in coarse]
    assert set(collector.answers) == {group.id for group in coarse}


def test_groups_with_the_same_prompt_are_asked_once_and_all_answered(ledger: LabelLedger) -> None:
    """Prompts can be equal where windows are not; the next run gets the same answer for each group."""
    labeller = OneByOne(exact=False)
    groups = label_groups(TARGET, len(TARGET.signatures))
    collector = _collector(groups, ledger, labeller)
    answers = collector.ask(groups, 0, Progress())
    assert len(labeller.asked) == collector.asked == len(ledger) < len(groups)
    assert (collector.remembered, collector.shared) == (0, len(groups) - collector.asked)
    assert [answer.group for answer in answers] == [group.id for group in groups]
    assert all(answer.label != "abstain" for answer in answers)

    labeller = OneByOne(exact=False)
    again = _collector(groups, ledger, labeller)
    assert again.ask(groups, 0, Progress()) == answers
    assert labeller.asked == []
    assert (again.remembered, again.shared) == (len(groups), 0)


def test_a_revoked_answer_is_asked_for_anew(tmp_path: Path) -> None:
    """An older answer about another window of the group does not take the place of one that was taken back."""
    groups = label_groups(TARGET, len(TARGET.signatures) // 2)
    group = next(group for group in groups if len(group.members) > 1)
    path, labeller = tmp_path / "revoked.jsonl", OneByOne()
    windows = [TARGET.signatures[index].runs for index in group.members[:2]]
    front, other = (labeller.prompt_hash(Question("", 1, (runs,), (1,), {})) for runs in windows)
    with LabelLedger(path) as ledger:
        ledger.append(Entry(Answer("g", "normal", 0.9, labeller="fake", prompt_hash=key), 0) for key in (front, other))
    with path.open("a") as file:
        file.write(json.dumps({"revoked": front}) + "\n")
    for asked in ([group.id], []):
        labeller = OneByOne()
        with LabelLedger(path) as ledger:
            _collector(groups, ledger, labeller).ask([group], 0, Progress())
        assert labeller.asked == asked


def test_the_answer_about_one_window_is_that_of_its_group_when_counts_change(ledger: LabelLedger) -> None:
    """Which window is the most frequent of its group changes with the history, and asks nothing again."""
    budget = len(TARGET.signatures) // 2
    groups = label_groups(TARGET, budget)
    first = _collector(groups, ledger, OneByOne())
    answers = {answer.group: answer for answer in first.ask(groups, 0, Progress())}

    rare = [TARGET.signatures[group.members[-1]] for group in groups if len(group.members) > 1]
    grown = replace(
        TARGET,
        signatures=[replace(one, windows=one.windows + 1_000) if one in rare else one for one in TARGET.signatures],
    )
    again = label_groups(grown, budget)
    assert {group.id: group.members[0] for group in again} != {group.id: group.members[0] for group in groups}
    labeller = OneByOne()
    collector = AnswerCollector(grown, again, NothingNear(), Pool(labeller), ledger, labeller)
    assert {answer.group: answer for answer in collector.ask(again, 0, Progress())} == answers
    assert labeller.asked == []
    assert collector.remembered == len(again)
