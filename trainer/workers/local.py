"""Who does the work of a run: the similarity worker, the learner and the labellers, here in this process.

`actors.RayCrew` gives the same work to Ray actors. The recipe knows this protocol alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from detector.model.embedding import Embedder
from trainer.data.signatures import Corpus, Runs
from trainer.labelling.base import Answer, Labeller, Question, SystemCard
from trainer.labelling.retrieval import Knowledge, Match, RetrievalVectors
from trainer.learning.meta_learning import MetaReport, MetaSettings
from trainer.learning.routing import EventSimilarity, Routing, event_similarities, route
from trainer.learning.training import Learner, Mixture

Floats = npt.NDArray[np.float64]
State = Mapping[str, npt.NDArray[np.float32]]

BATCH_QUESTIONS = 64
"""Most questions that a labeller is given at once: answers are kept batch by batch, so a run that is killed loses no
more paid ones than these a worker. A labeller that makes more calls at once than this does not come to do so."""


@dataclass(frozen=True)
class Assignment:
    """What a crew works on.

    Attributes:
        make_labeller: builds a labeller where it works; called once a worker with the number of workers.
        milvus: Milvus Lite's path or a server's address, None for exact search.
        threads: of torch.
    """

    source: Corpus
    target: Corpus
    embedder: Embedder
    hidden: int
    seed: int
    make_labeller: Callable[[int], Labeller]
    milvus: str | None
    labellers: int
    threads: int = 1


class SimilarityWorker:
    """Similarity to the source, routing, and the knowledge base of answered signatures.

    Args:
        assignment: what to work on.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._target = assignment.target
        source_texts = tuple(sorted(set(assignment.source.texts.values())))
        self._similarities = event_similarities(assignment.embedder, assignment.target.texts, source_texts)
        signatures = assignment.target.signatures
        vectors = RetrievalVectors(
            assignment.embedder,
            assignment.target.texts,
            [signature.runs for signature in signatures],
            [float(signature.windows) for signature in signatures],
        )
        self._knowledge = Knowledge(vectors, assignment.milvus)

    def route(self) -> tuple[dict[str, EventSimilarity], Routing]:
        """Similarity of every event, and the routing of every signature."""
        return self._similarities, route(self._target, self._similarities)

    def learn(self, groups: Sequence[str], windows: Sequence[Runs]) -> None:
        """Add answered groups to the knowledge base."""
        self._knowledge.learn(groups, windows)

    def neighbours(self, groups: Sequence[str], windows: Sequence[Runs]) -> list[list[Match]]:
        """Nearest answered groups."""
        return self._knowledge.neighbours(groups, windows)

    def index_name(self) -> tuple[str, str]:
        """Which index works, and why not Milvus if it does not."""
        return self._knowledge.index.name, self._knowledge.degraded

    def close(self) -> None:
        """Let the knowledge base go."""
        self._knowledge.close()


class Crew(Protocol):
    """The workers of a run."""

    def route(self) -> tuple[dict[str, EventSimilarity], Routing]:
        """See `SimilarityWorker.route`."""
        ...

    def learn(self, groups: Sequence[str], windows: Sequence[Runs]) -> None:
        """See `SimilarityWorker.learn`."""
        ...

    def neighbours(self, groups: Sequence[str], windows: Sequence[Runs]) -> list[list[Match]]:
        """See `SimilarityWorker.neighbours`."""
        ...

    def index_name(self) -> tuple[str, str]:
        """See `SimilarityWorker.index_name`."""
        ...

    def meta_learn(self, general: npt.NDArray[np.intp], settings: MetaSettings) -> MetaReport:
        """See `Learner.meta_learn`."""
        ...

    def logits(self) -> Floats:
        """See `Learner.logits`."""
        ...

    def fine_tune(self, labels: Floats, weights: Floats, steps: int, mixture: Mixture) -> float:
        """See `Learner.fine_tune`."""
        ...

    def state(self) -> State:
        """See `Learner.state`."""
        ...

    def restore(self, state: State) -> None:
        """See `Learner.restore`."""
        ...

    def label(self, questions: Sequence[Question], card: SystemCard) -> Iterator[list[Answer]]:
        """Answers in batches, as labellers finish; every question is answered, failures as abstentions.

        Raises:
            LabellerError: a labeller is refused for good; the answers that came before it were yielded.
        """
        ...

    def close(self) -> None:
        """Let all workers go."""
        ...


class LocalCrew:
    """The crew in this process, one after another.

    Args:
        assignment: what to work on.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._similarity = SimilarityWorker(assignment)
        self._learner = Learner(
            assignment.source,
            assignment.target,
            assignment.embedder,
            assignment.hidden,
            assignment.seed,
            assignment.threads,
        )
        self._labeller = assignment.make_labeller(1)
        self.route = self._similarity.route
        self.learn = self._similarity.learn
        self.neighbours = self._similarity.neighbours
        self.index_name = self._similarity.index_name
        self.meta_learn = self._learner.meta_learn
        self.logits = self._learner.logits
        self.fine_tune = self._learner.fine_tune
        self.state = self._learner.state
        self.restore = self._learner.restore
        self.close = self._similarity.close

    def label(self, questions: Sequence[Question], card: SystemCard) -> Iterator[list[Answer]]:
        """Answers in batches, in the order of the questions."""
        for start in range(0, len(questions), BATCH_QUESTIONS):
            yield self._labeller.label(questions[start : start + BATCH_QUESTIONS], card)
