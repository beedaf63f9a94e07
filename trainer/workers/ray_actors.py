"""The crew as Ray actors: one for similarity and retrieval, one learner, a pool of labellers. The only import of Ray.

An actor that dies is started again and told what it knew: what was learned of answers is kept here, and the learner's
weights are fetched after each of its steps; a batch of questions that died with a labeller is asked again elsewhere.
What a labeller had used of its tokens and its time dies with it: the one in its place has a worker's share of the
tokens, and the deadline, anew. Each death can so cost one share of `max_tokens_total` more; answers that were yielded
are never paid again.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
import structlog
from ray.exceptions import RayActorError, RayTaskError

from trainer.data.signatures import Runs
from trainer.errors import LabellerError, TrainerError
from trainer.labelling.base import Answer, Labeller, Question, SystemCard
from trainer.labelling.retrieval import Match
from trainer.learning.meta_learning import MetaReport, MetaSettings
from trainer.learning.routing import EventSimilarity, Routing
from trainer.learning.training import Learner, Mixture
from trainer.workers.local import BATCH_QUESTIONS, Assignment, Floats, SimilarityWorker, State

_ATTEMPTS = 3
_LEAST_BATCH_QUESTIONS = 16
_CLOSE_SECONDS = 3.0


class LabellerWorker:
    """A labeller in an actor.

    Args:
        make_labeller: builds it.
        workers: how many such actors there are.
    """

    def __init__(self, make_labeller: Callable[[int], Labeller], workers: int) -> None:
        self._labeller = make_labeller(workers)

    def label(self, questions: Sequence[Question], card: SystemCard) -> list[Answer]:
        """Answers in the order of the questions."""
        return self._labeller.label(questions, card)


def _make_learner(assignment: Assignment) -> tuple[Any, ...]:
    return (
        assignment.source,
        assignment.target,
        assignment.embedder,
        assignment.hidden,
        assignment.seed,
        assignment.threads,
    )


class RayCrew:
    """See `trainer.workers.local.Crew`.

    Args:
        assignment: what to work on.
        address: of a Ray cluster; None starts one here, on the loopback, for as long as the crew lives.

    Raises:
        TrainerError: Ray does not start, or the cluster does not answer.
    """

    def __init__(self, assignment: Assignment, address: str | None = None) -> None:
        self._log = structlog.get_logger(__name__)
        self._assignment = assignment
        self._started = _start_ray(address, 2 + assignment.labellers)
        self._learned: list[tuple[Sequence[str], Sequence[Runs]]] = []
        self._fine_tunings = 0
        self._state: State | None = None
        self._ref = ray.put(assignment)
        self._learner = self._new_learner()
        self._similarity = self._new_similarity()
        self._labellers: list[Any] = [self._new_labeller() for _ in range(assignment.labellers)]
        self._last_resort: Labeller | None = None

    def route(self) -> tuple[dict[str, EventSimilarity], Routing]:
        """See `SimilarityWorker.route`."""
        result: tuple[dict[str, EventSimilarity], Routing] = self._on_similarity("route")
        return result

    def learn(self, groups: Sequence[str], windows: Sequence[Runs]) -> None:
        """See `SimilarityWorker.learn`."""
        self._on_similarity("learn", groups, windows)
        self._learned.append((groups, windows))

    def neighbours(self, groups: Sequence[str], windows: Sequence[Runs]) -> list[list[Match]]:
        """See `SimilarityWorker.neighbours`."""
        result: list[list[Match]] = self._on_similarity("neighbours", groups, windows)
        return result

    def index_name(self) -> tuple[str, str]:
        """See `SimilarityWorker.index_name`."""
        result: tuple[str, str] = self._on_similarity("index_name")
        return result

    def meta_learn(self, general: npt.NDArray[np.intp], settings: MetaSettings) -> MetaReport:
        """See `Learner.meta_learn`."""
        report: MetaReport = self._on_learner("meta_learn", general, settings)
        self._state = self._on_learner("state")
        return report

    def logits(self) -> Floats:
        """See `Learner.logits`."""
        result: Floats = self._on_learner("logits")
        return result

    def fine_tune(self, labels: Floats, weights: Floats, steps: int, mixture: Mixture) -> float:
        """See `Learner.fine_tune`."""
        loss: float = self._on_learner("fine_tune", labels, weights, steps, mixture)
        self._fine_tunings += 1
        self._state = self._on_learner("state")
        return loss

    def state(self) -> State:
        """See `Learner.state`."""
        state: State = self._on_learner("state")
        return state

    def restore(self, state: State) -> None:
        """See `Learner.restore`."""
        self._on_learner("restore", state)
        self._state = state

    def label(self, questions: Sequence[Question], card: SystemCard) -> Iterator[list[Answer]]:
        """Answers in batches as labellers finish; a batch whose actor died is given to a new one."""
        size = min(BATCH_QUESTIONS, max(_LEAST_BATCH_QUESTIONS, -(-len(questions) // (4 * len(self._labellers)))))
        waiting = [(questions[start : start + size], 1) for start in range(0, len(questions), size)]
        waiting.reverse()
        working: dict[Any, tuple[int, Sequence[Question], int]] = {}
        idle = list(range(len(self._labellers)))
        failure: LabellerError | None = None
        while waiting or working:
            while waiting and idle:
                worker, (batch, attempt) = idle.pop(), waiting.pop()
                working[self._labellers[worker].label.remote(batch, card)] = (worker, batch, attempt)
            done, _ = ray.wait(list(working), num_returns=1)
            worker, batch, attempt = working.pop(done[0])
            try:
                answers = self._collect(done[0], worker, batch, card, attempt)
            except LabellerError as error:
                # The other workers' batches are paid: they are taken in before this ends the labelling.
                failure = failure or error
                waiting.clear()
                continue
            idle.append(worker)
            if answers is not None:
                yield answers
            elif failure is None:
                waiting.append((batch, attempt + 1))
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Close the knowledge base, end the actors, and Ray with them where this crew started it."""
        if not ray.is_initialized():
            return
        try:
            ray.get(self._similarity.close.remote(), timeout=_CLOSE_SECONDS)
        except Exception as error:  # noqa: BLE001 - closing must go on
            # Interrupted in its work, or dead: the knowledge base is made anew by each run, so nothing is lost.
            self._log.info("actors.ended_at_work", reason=str(error).splitlines()[0][:200])
        for actor in (self._similarity, self._learner, *self._labellers):
            ray.kill(actor)
        if self._started:
            ray.shutdown()

    def _collect(
        self, reference: Any, worker: int, batch: Sequence[Question], card: SystemCard, attempt: int
    ) -> list[Answer] | None:
        """Answers of a batch; None where its actor died and it is to be asked again."""
        try:
            answers: list[Answer] = _result(reference)
        except RayActorError as error:
            self._log.warning("labeller.died", attempt=attempt, error=str(error).splitlines()[0][:200])
            self._labellers[worker] = self._new_labeller()
            if attempt < _ATTEMPTS:
                return None
            # In this process, by one labeller for all such batches, so that its share is one worker's in all.
            if self._last_resort is None:
                self._last_resort = self._assignment.make_labeller(self._assignment.labellers)
            answers = self._last_resort.label(batch, card)
        return answers

    def _on_similarity(self, method: str, *arguments: Any) -> Any:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return _result(getattr(self._similarity, method).remote(*arguments))
            except RayActorError as error:
                self._give_up_or_log("similarity", attempt, error)
                self._similarity = self._new_similarity()
                for groups, windows in self._learned:
                    self._similarity.learn.remote(groups, windows)
        raise AssertionError("the last attempt raises")

    def _on_learner(self, method: str, *arguments: Any) -> Any:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return _result(getattr(self._learner, method).remote(*arguments))
            except RayActorError as error:
                self._give_up_or_log("learner", attempt, error)
                self._learner = self._new_learner()
                if self._state is not None:
                    self._learner.restore.remote(self._state, self._fine_tunings)
        raise AssertionError("the last attempt raises")

    def _give_up_or_log(self, name: str, attempt: int, error: Exception) -> None:
        reason = str(error).splitlines()[0][:200]
        if attempt == _ATTEMPTS:
            raise TrainerError(
                f"the {name} actor died {attempt} times, last: {reason}; is there enough memory?"
            ) from error
        self._log.warning("actor.died", actor=name, attempt=attempt, error=reason)

    def _new_learner(self) -> Any:
        return ray.remote(Learner).options(num_cpus=1).remote(*_make_learner(self._assignment))

    def _new_similarity(self) -> Any:
        return ray.remote(SimilarityWorker).options(num_cpus=1).remote(self._ref)

    def _new_labeller(self) -> Any:
        worker = ray.remote(LabellerWorker).options(num_cpus=1)
        return worker.remote(self._assignment.make_labeller, self._assignment.labellers)


def _result(reference: Any) -> Any:
    """What an actor answered; an error of ours is raised as it was there, not as Ray's traceback of it."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, TrainerError):
            raise error.cause from None
        raise


def _start_ray(address: str | None, cpus: int) -> bool:
    """Connect to or start Ray; whether it was started here."""
    if ray.is_initialized():
        return False
    root = str(Path(__file__).resolve().parent.parent)
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "PYTHONPATH": _with_root(root)}
    before = {name: os.environ.get(name) for name in quiet}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    os.environ.update(quiet)  # the processes that Ray starts inherit these; this process gets its own back
    try:
        if address is not None:
            ray.init(address=address, logging_level="ERROR", log_to_driver=False)
        else:
            ray.init(
                address="local",
                num_cpus=cpus,
                num_gpus=0,
                include_dashboard=False,
                logging_level="ERROR",
                log_to_driver=False,
                configure_logging=True,
                _node_ip_address="127.0.0.1",
            )
    except Exception as error:
        raise TrainerError(f"ray_address must name a Ray cluster that answers, got {address!r}: {error}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            # Ray puts one of its own in its place, which prints a trace and aborts.
            signal.signal(signal.SIGTERM, on_sigterm)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    return True


def _with_root(root: str) -> str:
    rest = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != root]
    return os.pathsep.join([root, *rest])
