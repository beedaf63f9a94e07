"""Questions to labellers and their answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from detector.model.runs import Runs
from trainer.data.signatures import Corpus
from trainer.settings import TrainerSettings

Label = Literal["normal", "anomalous", "abstain"]

_PROFILE_EVENTS = 20


@dataclass(frozen=True)
class Neighbor:
    """A signature that has an answer already, shown for comparison (paper section III-D); its label can be wrong.

    Attributes:
        label, confidence: its answer.
        similarity: cosine of the retrieval vectors.
    """

    runs: Runs
    label: str
    confidence: float
    similarity: float


@dataclass(frozen=True)
class Question:
    """One group of windows that gets one label.

    Attributes:
        group: id of the label group.
        windows: number of windows in the group.
        runs: examples, most frequent first; the first represents the group.
        weights: number of windows of each example, aligned with `runs`.
        texts: text of every event id in `runs`.
        example_window_ids: window ids of the group, at most a few dozen.
        neighbors: nearest signatures that have an answer.
    """

    group: str
    windows: int
    runs: tuple[Runs, ...]
    weights: tuple[int, ...]
    texts: Mapping[str, str]
    example_window_ids: tuple[str, ...] = ()
    neighbors: tuple[Neighbor, ...] = ()


@dataclass(frozen=True)
class SystemProfile:
    """A system in unlabelled counts, without its name: answers do not depend on what a file or topic is called.

    Attributes:
        events: (event text, share of windows that hold it), most frequent first.
    """

    windows: int
    events: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, corpus: Corpus) -> "SystemProfile":
        """The profile of a corpus, with its most frequent events."""
        held = corpus.windows_of_events()
        total = max(1, corpus.windows)
        frequent = sorted(held, key=lambda event: (-held[event], event))[:_PROFILE_EVENTS]
        return cls(corpus.windows, tuple((corpus.texts[event], held[event] / total) for event in frequent))


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Attributes:
        group: id of the label group.
        label: an abstention is an answer like any other and is never turned into a class.
        confidence: 0 to 1, how sure the labeller is of `label`.
        evidence: event ids of the window that support the label.
        reason: one short sentence.
        prompt_hash: see `Labeller.prompt_hash`; empty where the question was not sent or the reply was unreadable, so
            that the next run asks again.
        tokens, cost: spent on it, also where the reply was unreadable; the cost in the currency of the settings.
    """

    group: str
    label: Label
    confidence: float
    evidence: tuple[str, ...] = ()
    reason: str = ""
    labeller: str = ""
    prompt_hash: str = ""
    tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True)
class Spending:
    """Tokens, and their cost in the currency of the settings."""

    tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(self.tokens + other.tokens, self.cost + other.cost)


NOTHING = Spending()


class Labeller(Protocol):
    """Labels windows of one system, many questions in a call.

    Attributes:
        name: under which the ledger keeps its answers.
    """

    name: str

    def label(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer per question, in the same order."""

    def prompt_hash(self, question: Question) -> str:
        """Hash of what is asked, so that no question is paid for twice.

        Where answers are paid for, it covers the first window of the question alone, without its neighbors and counts:
        a longer history then asks about its new windows only.
        """


MakeLabeller = Callable[[int], Labeller]
"""Builds a labeller in the process that uses it; the argument is the number of labellers that share the limits."""


@dataclass(frozen=True)
class SameLabeller:
    """A `MakeLabeller` for a labeller without limits: every process gets an equal copy."""

    labeller: Labeller

    def __call__(self, _labellers: int) -> Labeller:
        """The labeller, however many there are."""
        return self.labeller


@dataclass(frozen=True)
class LabellerInputs:
    """What the builder of a labeller gets (`trainer.labellers`).

    Attributes:
        source_prior: -1 to 1 per target event (`trainer.labelling.source_prior`).
        spent: on answers of earlier runs, by the ledger.
    """

    settings: TrainerSettings
    target: Corpus
    source_prior: Mapping[str, float]
    spent: Spending = NOTHING


class AnswersQuestions(Protocol):
    """One labeller or several behind one method."""

    def label(self, questions: Sequence[Question]) -> Iterator[list[Answer]]:
        """Answers in batches, as labellers finish; every question is answered, failures as abstentions.

        Raises:
            LabellerError: a labeller was refused for good; the answers that came before it were yielded.
        """
