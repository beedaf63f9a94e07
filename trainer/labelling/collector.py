"""Asking: questions are made of groups, answered from the ledger where it knows, by the labellers where not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from trainer.data.signatures import Corpus, LabelGroup, Runs
from trainer.labelling.base import Answer, Neighbour, Question, SystemCard
from trainer.labelling.ledger import Entry, LabelLedger
from trainer.progress import Progress
from trainer.workers.local import Crew

_EXAMPLES = 8
_EXAMPLE_WINDOWS = 64
_CARD_EVENTS = 20
_CARD_WINDOWS = 3


class PromptHasher(Protocol):
    """The part of a labeller that says what a question is known by."""

    name: str

    def prompt_hash(self, question: Question, card: SystemCard) -> str:
        """Hash of everything that the answer depends on."""
        ...


def system_card(corpus: Corpus) -> SystemCard:
    """The system in unlabelled figures: its events by share of windows, its most frequent windows."""
    held: dict[str, int] = {}
    for signature in corpus.signatures:
        for event in signature.counts():
            held[event] = held.get(event, 0) + signature.windows
    total = max(1, corpus.windows)
    frequent = sorted(held, key=lambda event: (-held[event], event))[:_CARD_EVENTS]
    typical = sorted(corpus.signatures, key=lambda signature: (-signature.windows, signature.id))[:_CARD_WINDOWS]
    return SystemCard(
        corpus.system,
        corpus.windows,
        tuple((corpus.texts[event], held[event] / total) for event in frequent),
        tuple((signature.runs, signature.windows / total) for signature in typical),
    )


class Desk:
    """Where groups are turned into answers.

    Args:
        corpus: the target.
        groups: all label groups.
        crew: whose labellers are asked.
        ledger: what was answered before; new answers are written there before they are used.
        hasher: names questions as the labellers do.
        card: of the system.
    """

    def __init__(
        self,
        corpus: Corpus,
        groups: Sequence[LabelGroup],
        crew: Crew,
        ledger: LabelLedger,
        hasher: PromptHasher,
        card: SystemCard,
    ) -> None:
        self._corpus, self._crew, self._ledger, self._hasher, self._card = corpus, crew, ledger, hasher, card
        self._group = {group.id: group for group in groups}
        self.answers: dict[str, Answer] = {}
        self.asked = 0
        self.remembered = 0

    @property
    def giver(self) -> str:
        """Name of the labeller."""
        return self._hasher.name

    def ask(self, groups: Sequence[LabelGroup], round_number: int, progress: Progress) -> list[Answer]:
        """Answers of `groups`, in their order; groups whose prompts are the same share one answer."""
        windows = [self.representative(group) for group in groups]
        near = self._crew.neighbours([group.id for group in groups], windows)
        questions = [
            self._question(group, [(match.group, match.similarity) for match in matches])
            for group, matches in zip(groups, near, strict=True)
        ]
        key_of = {question.group: self._hasher.prompt_hash(question, self._card) for question in questions}
        found: dict[str, Answer] = {}
        open_questions: dict[str, Question] = {}
        for question in questions:
            key = key_of[question.group]
            answer = self._ledger.find(self._hasher.name, key)
            if answer is not None:
                found[key] = answer
            else:
                open_questions.setdefault(key, question)
        self.remembered += len(questions) - len(open_questions)
        progress.advance(len(questions) - len(open_questions))
        neighbours: Mapping[str, tuple[str, ...]] = {
            group.id: tuple(match.group for match in matches) for group, matches in zip(groups, near, strict=True)
        }
        for raw in self._crew.label(list(open_questions.values()), self._card) if open_questions else ():
            # Rounded as the ledger rounds, so that a resumed run learns from the very same numbers.
            batch = [replace(answer, confidence=round(answer.confidence, 6)) for answer in raw]
            # What was not really asked has no hash and is asked again by the next run.
            told = [answer for answer in batch if answer.prompt_hash]
            self._ledger.append(Entry(answer, round_number, neighbours[answer.group]) for answer in told)
            self.asked += len(batch)
            found.update((key_of[answer.group], answer) for answer in batch)
            progress.advance(len(batch))
        # The ledger knows prompts, not groups: a group's id changes with the view that the budget allows.
        answers = [
            replace(found[key], group=group.id) if (key := key_of[group.id]) in found else self._silence(group.id)
            for group in groups
        ]
        self.answers.update((answer.group, answer) for answer in answers)
        known = [group for group, answer in zip(groups, answers, strict=True) if answer.label != "abstain"]
        self._crew.learn([group.id for group in known], [self.representative(group) for group in known])
        return answers

    def representative(self, group: LabelGroup) -> Runs:
        """The most frequent window of a group."""
        return self._corpus.signatures[group.members[0]].runs

    def _question(self, group: LabelGroup, near: Sequence[tuple[str, float]]) -> Question:
        members = [self._corpus.signatures[index] for index in group.members]
        shown = members[:_EXAMPLES]
        events = {event for member in shown for event, _ in member.runs}
        ids = tuple(window for member in members for window in member.example_window_ids)[:_EXAMPLE_WINDOWS]
        return Question(
            group=group.id,
            windows=group.windows,
            runs=tuple(member.runs for member in shown),
            weights=tuple(member.windows for member in shown),
            texts={event: self._corpus.texts[event] for event in sorted(events)},
            example_window_ids=ids,
            neighbours=tuple(self._neighbour(other, similarity) for other, similarity in near if other in self.answers),
        )

    def _neighbour(self, group: str, similarity: float) -> Neighbour:
        answer = self.answers[group]
        runs = self._corpus.signatures[self._group[group].members[0]].runs
        return Neighbour(runs, answer.label, answer.confidence, round(similarity, 3))

    def _silence(self, group: str) -> Answer:
        return Answer(group, "abstain", 0.0, reason="no answer came", giver=self.giver)
