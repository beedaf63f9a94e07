"""The workers of a run: one for similarity and retrieval, one learner, and labellers. Here all in this process.

`ray_actors.ray_workers` puts the same roles behind Ray actors.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from detector.model.runs import Runs
from trainer.context import TrainingContext
from trainer.errors import LabellerError
from trainer.labelling.base import Answer, AnswersQuestions, Labeller, Question
from trainer.labelling.retrieval import Retrieval, RetrievalVectors
from trainer.learning.routing import EventSimilarity, Routing, event_similarities, route
from trainer.learning.training import Learner

BATCH_QUESTIONS = 64
"""Most questions of one batch. Answers are written to the ledger batch by batch, so a run that is killed loses at most
one batch of paid answers per labeller. It also bounds the calls that a labeller makes at once."""
_LEAST_BATCH_QUESTIONS = 16
_BATCHES_PER_LABELLER = 4

Snapshot = dict[str, Runs]


class Similarity(Retrieval):
    """Similarity of target events to the source, routing, and retrieval of answered groups."""

    changed_by = frozenset({"add"})

    def __init__(self, context: TrainingContext) -> None:
        self._target = context.target
        source_texts = tuple(sorted(set(context.source.texts.values())))
        self._similarities = event_similarities(context.embedder, context.target.texts, source_texts)
        self._added: Snapshot = {}
        super().__init__(RetrievalVectors(context.embedder, context.target), context.milvus)

    def route(self) -> tuple[dict[str, EventSimilarity], Routing]:
        """Similarity of every event, and the routing of every signature."""
        return self._similarities, route(self._target, self._similarities)

    def add(self, groups: Sequence[str], windows: Sequence[Runs]) -> None:
        """Add answered groups, each with its representative window."""
        self._added.update(zip(groups, windows, strict=True))
        super().add(groups, windows)

    def index_name(self) -> str:
        """Name of the index in use."""
        return self.index.name

    def snapshot(self) -> Snapshot:
        """Everything that was added."""
        return self._added

    def resume(self, snapshot: Snapshot) -> None:
        """Add what another worker of this role held."""
        self.add(list(snapshot), list(snapshot.values()))


class LabellerPool:
    """Labels questions in batches, with as many calls at once as there are labellers, of this process or others."""

    def __init__(self, labellers: Sequence[Labeller]) -> None:
        self._labellers = labellers

    def label(self, questions: Sequence[Question]) -> Iterator[list[Answer]]:
        """See `trainer.labelling.base.AnswersQuestions`."""
        share = -(-len(questions) // (_BATCHES_PER_LABELLER * len(self._labellers)))
        size = min(BATCH_QUESTIONS, max(_LEAST_BATCH_QUESTIONS, share))
        batches = [questions[start : start + size] for start in range(0, len(questions), size)]
        if len(self._labellers) == 1:  # in this thread, which Ctrl-C interrupts
            return map(self._labellers[0].label, batches)
        return self._label_at_once(batches)

    def _label_at_once(self, batches: list[Sequence[Question]]) -> Iterator[list[Answer]]:
        threads = ThreadPoolExecutor(len(self._labellers), thread_name_prefix="labeller")
        idle, waiting = list(self._labellers), batches[::-1]
        working: dict[Future[list[Answer]], Labeller] = {}
        failure: LabellerError | None = None
        try:
            while waiting or working:
                while waiting and idle:
                    labeller = idle.pop()
                    working[threads.submit(labeller.label, waiting.pop())] = labeller
                for done in wait(working, return_when=FIRST_COMPLETED).done:
                    idle.append(working.pop(done))
                    try:
                        yield done.result()
                    except LabellerError as error:
                        # Batches under way are paid for: they are waited for before the error ends the labelling.
                        failure = failure or error
                        waiting.clear()
        finally:
            # Not waited for: when this is interrupted, a call can take minutes.
            threads.shutdown(wait=False, cancel_futures=True)
        if failure is not None:
            raise failure


@dataclass(frozen=True)
class Workers:
    """The workers of a run.

    Attributes:
        close: releases all of them.
        warnings: how they differ from what the settings ask for.
    """

    similarity: Similarity
    learner: Learner
    labellers: AnswersQuestions
    close: Callable[[], None]
    warnings: tuple[str, ...] = ()


def make_learner(context: TrainingContext) -> Learner:
    """The role of the learner."""
    return Learner(context.source, context.target, context.embedder, context.shape, context.seed)


def local_workers(context: TrainingContext) -> Workers:
    """All workers in this process, with one labeller."""
    similarity = Similarity(context)
    return Workers(similarity, make_learner(context), LabellerPool([context.make_labeller(1)]), similarity.close)
