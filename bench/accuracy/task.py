"""What a method may know: the pool's windows without labels, a labelled source, and answers about the pool."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.accuracy.data.windows import Floats, Ints, Windows
from detector.model.runs import Runs
from detector.parsing.templates import Template
from trainer.context import Systems
from trainer.data.signatures import Corpus, Signature, signature_id


@dataclass(frozen=True)
class Task:
    """One part of a run; it holds no truth.

    Attributes:
        windows: of the target.
        pool: [n] windows of each row that may train.
        test: [m] rows to score.
        seed: of everything random.
        source: reads the labelled source.
        labeller: name of the labeller.
        answer: from a task to [n] probabilities that a row is anomalous, NaN without an answer.
        budget: answers at most; None for what the shipped settings ask for.
        vectors: file of word vectors, None for hashed ones.
        training: settings in place of the shipped ones, for a smaller run in tests.
    """

    windows: Windows
    pool: Ints
    test: Ints
    seed: int
    source: Callable[[], Corpus]
    labeller: str
    answer: "Callable[[Task], Floats]"
    budget: int | None = None
    vectors: Path | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def weights(self) -> Floats:
        """[n] share of the pool's windows."""
        weights: Floats = self.pool / max(1, self.pool.sum())
        return weights

    @cached_property
    def answers(self) -> Floats:
        """[n] the labeller's probability that a row is anomalous, NaN without an answer; for all rows."""
        return self.answer(self)

    def answers_about(self, rows: Ints) -> int:
        """Answers of an LLM that a method got about rows: one per signature, none from the default labeller."""
        return 0 if self.labeller == "default" else len(np.unique(self.windows.clusters[rows]))

    @cached_property
    def logs(self) -> Floats:
        """[n, E] logarithm of 1 + lines of each event; of the events of the pool alone."""
        held = self.windows.counts[self.pool > 0].any(axis=0)
        return np.log1p(self.windows.counts[:, held].astype(np.float64))

    @cached_property
    def systems(self) -> Systems:
        """Both systems as a training run reads them."""
        corpus = pool_corpus(self.windows, self.pool)
        templates = [Template.of(text) for text in corpus.texts.values()]
        return Systems(self.windows.spec, self.source(), corpus, templates)


@dataclass(frozen=True)
class Verdicts:
    """What a method says about the rows of the test part.

    Attributes:
        scores: [m] higher is more anomalous.
        threshold: score from which (`>=`) a row is anomalous.
        answers: answers of an LLM that were used.
        facts: about the model, such as its hash.
    """

    scores: Floats
    threshold: float = 0.5
    answers: int = 0
    facts: dict[str, object] = field(default_factory=dict)


def example_id(system: str, row: int) -> str:
    """Id that stands for the windows of a row."""
    return f"{system}-{row}"


def pool_corpus(windows: Windows, pool: Ints) -> Corpus:
    """The pool as the trainer reads a target: distinct windows with their number, and no label."""
    rows: dict[Runs, list[int]] = {}
    for row in np.flatnonzero(pool):
        rows.setdefault(windows.runs[int(row)], []).append(int(row))
    signatures = [_signature(windows, runs, held, pool) for runs, held in rows.items()]
    texts = {event: windows.texts[event] for event in sorted({event for runs in rows for event, _ in runs})}
    lines = sum(signature.windows * sum(run for _, run in signature.runs) for signature in signatures)
    return Corpus(windows.system, texts, signatures, lines)


def _signature(windows: Windows, runs: Runs, held: Sequence[int], pool: Ints) -> Signature:
    examples = tuple(example_id(windows.system, row) for row in held)
    return Signature(signature_id(runs), runs, int(pool[list(held)].sum()), examples)
