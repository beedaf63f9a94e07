"""Collects answers for label groups: from the ledger where it has them, from the labellers where not.

A question shows one window of its group, the most frequent, and the ledger keeps the answer under that window. Which
window it is, and which windows form a group, change as the history grows. So an answer of an earlier run about any
window of a group is the answer of the group; nothing is asked again because counts have changed.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice

from detector.model.runs import Runs
from trainer.data.signatures import Corpus, LabelGroup
from trainer.labelling.base import Answer, AnswersQuestions, Labeller, Neighbor, Question
from trainer.labelling.ledger import Entry, LabelLedger
from trainer.labelling.retrieval import FindsNeighbors, Match
from trainer.progress import Progress

_EXAMPLES = 8
_EXAMPLE_WINDOWS = 64


class AnswerCollector:
    """Turns label groups into answers.

    Args:
        corpus: the target.
        groups: all label groups.
        labellers: answer what the ledger does not hold.
        ledger: answers of earlier runs; new answers are written to it before they are used.
        labeller: one of the labellers, for its name and its prompt hashes.

    Attributes:
        answers: by group.
        asked: questions that were sent.
        remembered: groups whose answer the ledger held before the run.
        shared: groups with the prompt of another group of the run, whose answer they got.
    """

    def __init__(
        self,
        corpus: Corpus,
        groups: Sequence[LabelGroup],
        retrieval: FindsNeighbors,
        labellers: AnswersQuestions,
        ledger: LabelLedger,
        labeller: Labeller,
    ) -> None:
        self._corpus, self._retrieval, self._labellers, self._ledger = corpus, retrieval, labellers, ledger
        self._labeller = labeller
        self._group = {group.id: group for group in groups}
        self._ran_before = len(ledger) > 0
        self.answers: dict[str, Answer] = {}
        self.asked = 0
        self.remembered = 0
        self.shared = 0
        self._new: set[str] = set()  # prompts that this run has asked

    @property
    def labeller(self) -> str:
        """Name of the labeller."""
        return self._labeller.name

    def ask(self, groups: Sequence[LabelGroup], round_number: int, progress: Progress) -> list[Answer]:
        """Answers of `groups`, in their order; groups with the same prompt share one answer."""
        ids, windows = [group.id for group in groups], [self.representative(group) for group in groups]
        near = dict(zip(ids, self._retrieval.neighbors(ids, windows), strict=True))
        questions = [self._question(group, near[group.id]) for group in groups]
        key_of = {question.group: self._labeller.prompt_hash(question) for question in questions}
        found: dict[str, Answer] = {}
        open_questions: dict[str, Question] = {}
        for question in questions:
            key = key_of[question.group]
            answer = self._ledger.find(self.labeller, key)
            if answer is None and not self._ledger.was_revoked(key):  # else it is asked anew
                answer = self._of_other_member(self._group[question.group])
            if answer is not None:
                found[key] = answer
            else:
                open_questions.setdefault(key, question)
        open_questions = {key: question for key, question in open_questions.items() if key not in found}
        self._new.update(open_questions)
        self.remembered += sum(key not in self._new for key in key_of.values())
        self.shared += sum(key in self._new for key in key_of.values()) - len(open_questions)
        progress.advance(len(questions) - len(open_questions))
        for raw in self._labellers.label(list(open_questions.values())) if open_questions else ():
            # Rounded like the ledger, so that a resumed run learns from exactly the same numbers.
            batch = [replace(answer, confidence=round(answer.confidence, 6)) for answer in raw]
            # Without a hash (not sent, or unreadable) it is no answer to keep: the next run asks again.
            self._ledger.append(
                Entry(answer, round_number, tuple(match.group for match in near[answer.group])) for answer in batch
            )
            self.asked += sum(bool(answer.prompt_hash or answer.tokens) for answer in batch)  # those that were sent
            found.update((key_of[answer.group], answer) for answer in batch)
            progress.advance(len(batch))
        # The ledger holds prompts, not groups: a group's id changes with the view that the budget allows.
        missing = Answer("", "abstain", 0.0, reason="no answer came", labeller=self.labeller)
        answers = [replace(found.get(key_of[group], missing), group=group) for group in ids]
        self.answers.update((answer.group, answer) for answer in answers)
        known = [group for group, answer in zip(groups, answers, strict=True) if answer.label != "abstain"]
        self._retrieval.add([group.id for group in known], [self.representative(group) for group in known])
        return answers

    def representative(self, group: LabelGroup) -> Runs:
        """The most frequent window of a group."""
        return self._corpus.signatures[group.members[0]].runs

    def _of_other_member(self, group: LabelGroup) -> Answer | None:
        """The answer of an earlier run about another window of the group, frequent windows first."""
        if not self._ran_before:
            return None
        for first in range(1, len(group.members)):
            key = self._labeller.prompt_hash(self._question(group, (), first))
            answer = self._ledger.find(self.labeller, key)
            if answer is not None:
                return answer
        return None

    def _question(self, group: LabelGroup, near: Sequence[Match], first: int = 0) -> Question:
        """The question that shows the group's member number `first`, then the others by frequency."""
        signatures, front = self._corpus.signatures, group.members[first]
        others = (index for index in group.members[:_EXAMPLES] if index != front)
        shown = [signatures[index] for index in (front, *others)][:_EXAMPLES]
        events = {event for member in shown for event, _ in member.runs}
        ids = chain.from_iterable(signatures[index].example_window_ids for index in group.members)
        return Question(
            group=group.id,
            windows=group.windows,
            runs=tuple(member.runs for member in shown),
            weights=tuple(member.windows for member in shown),
            texts={event: self._corpus.texts[event] for event in sorted(events)},
            example_window_ids=tuple(islice(ids, _EXAMPLE_WINDOWS)),
            neighbors=tuple(self._neighbor(match) for match in near if match.group in self.answers),
        )

    def _neighbor(self, match: Match) -> Neighbor:
        answer = self.answers[match.group]
        runs = self.representative(self._group[match.group])
        return Neighbor(runs, answer.label, answer.confidence, round(match.similarity, 3))
