"""What a labeller is asked and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from trainer.data.signatures import Runs

Label = Literal["normal", "anomalous", "abstain"]


@dataclass(frozen=True)
class Neighbour:
    """A signature that was asked before, shown as reference (paper section III-D); its label can be wrong.

    Attributes:
        runs: the neighbour's window.
        label: what was answered.
        confidence: how sure that answer was.
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
        windows: windows of the group.
        runs: examples, most frequent first; the first stands for the group.
        weights: windows of each example, aligned with `runs`.
        texts: text of every event id in `runs`.
        example_window_ids: window ids of the group, at most a few dozen.
        neighbours: nearest signatures that have an answer.
    """

    group: str
    windows: int
    runs: tuple[Runs, ...]
    weights: tuple[int, ...]
    texts: Mapping[str, str]
    example_window_ids: tuple[str, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True)
class SystemCard:
    """What a labeller may know about the system as a whole; unlabelled counts only.

    Attributes:
        system: name.
        windows: windows in the corpus.
        events: (event text, share of windows that hold it), most frequent first.
        typical: the most frequent windows with their share, the system's routine.
    """

    system: str
    windows: int
    events: tuple[tuple[str, float], ...] = ()
    typical: tuple[tuple[Runs, float], ...] = ()


@dataclass(frozen=True)
class Answer:
    """A labeller's verdict on one question.

    Attributes:
        group: id of the label group.
        label: the verdict; `abstain` is an answer like any other and is never turned into a class.
        confidence: 0 to 1, how sure the labeller is of `label`.
        evidence: event ids of the window that speak for the label.
        reason: one short sentence.
        giver: name of the labeller.
        prompt_hash: hash of what was asked, without neighbours, so the same question is never paid twice; empty for
            what was not asked after all.
        tokens: tokens that the answer cost.
    """

    group: str
    label: Label
    confidence: float
    evidence: tuple[str, ...] = ()
    reason: str = ""
    giver: str = ""
    prompt_hash: str = ""
    tokens: int = 0


class Labeller(Protocol):
    """Answers questions; slow ones answer many at a time."""

    name: str

    def label(self, questions: Sequence[Question], card: SystemCard) -> list[Answer]:
        """One answer a question, in their order."""
        ...
