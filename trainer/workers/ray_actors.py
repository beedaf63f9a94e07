"""The workers of a run as Ray actors: one for similarity and retrieval, one learner, several labellers.

The only import of Ray. Each role (`trainer.workers.local`) is built inside an actor and called through one proxy. An
actor that dies is replaced: the new one resumes from the snapshot that the proxy took after the last change, and the
call is repeated. Limits of a labeller (its share of the tokens, its deadline) start anew with its actor, so each death
can cost one share of `max_tokens_total` more; answers that were yielded are never paid for again.
"""

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import ray
import structlog
from ray.exceptions import RayActorError, RayTaskError

from trainer.context import TrainingContext
from trainer.errors import TrainerError
from trainer.labelling.base import Answer, Labeller, Question
from trainer.learning.training import Learner
from trainer.workers.local import LabellerPool, Similarity, Workers, make_learner

ATTEMPTS = 3
_CLOSE_SECONDS = 3.0


class RoleHost:
    """A role, built by `make(argument)` in the process of an actor."""

    def __init__(self, make: Callable[[Any], Any], argument: Any) -> None:
        self._role = make(argument)

    def call(self, method: str, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
        """Result of a method, and a snapshot of the role where the method has changed it."""
        result = getattr(self._role, method)(*arguments)
        changed = method in getattr(self._role, "changed_by", ())
        return result, self._role.snapshot() if changed else None

    def resume(self, snapshot: Any) -> None:
        """Continue from the snapshot of an actor that died."""
        self._role.resume(snapshot)

    def close(self) -> None:
        """Release what the role holds."""
        self._role.close()


class ActorProxy:
    """Forwards every method to a role behind an actor.

    Args:
        name: of the role, for logs and errors.
        start: starts an actor that hosts the role.
        fallback: the role in this process, used where actors keep dying; None ends the run then.
    """

    def __init__(self, name: str, start: Callable[[], Any], fallback: Any = None) -> None:
        self._name, self._start, self._fallback = name, start, fallback
        self._actor = start()
        self._snapshot: Any = None
        self._closed = False

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return partial(self._call, method)

    def end(self, close: bool = False) -> None:
        """Kill the actor, after `close` where the role holds something; calls under way fail."""
        self._closed = True
        if close:
            try:
                ray.get(self._actor.close.remote(), timeout=_CLOSE_SECONDS)
            except Exception as error:  # noqa: BLE001 - the others must be ended, too
                # Busy or dead; each run builds its index anew, so nothing is lost.
                reason = str(error).splitlines()[0][:200]
                structlog.get_logger(__name__).info("actor.not_closed", actor=self._name, reason=reason)
        ray.kill(self._actor)

    def _call(self, method: str, *arguments: Any) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                result, snapshot = _result(self._actor.call.remote(method, arguments))
            except RayActorError as error:
                reason = str(error).splitlines()[0][:200]
                if self._closed or (attempt == ATTEMPTS and self._fallback is None):
                    raise TrainerError(
                        f"the {self._name} actor died {attempt} times, last: {reason}; is there enough memory?"
                    ) from error
                structlog.get_logger(__name__).warning("actor.died", actor=self._name, attempt=attempt, error=reason)
                self._actor = self._start()
                if self._snapshot is not None:
                    self._actor.resume.remote(self._snapshot)
            else:
                self._snapshot = snapshot if snapshot is not None else self._snapshot
                return result
        return getattr(self._fallback, method)(*arguments)


def ray_workers(context: TrainingContext, address: str | None = None) -> Workers:
    """Workers behind actors of the cluster at `address`; None starts one here, on the loopback, until they are closed.

    Raises:
        TrainerError: Ray does not start, or the cluster does not answer.
    """
    started = _start_ray(address, 2 + context.labellers)
    reference = ray.put(context)

    host = ray.remote(RoleHost).options(num_cpus=1)
    similarity = ActorProxy("similarity", partial(host.remote, Similarity, reference))
    learner = ActorProxy("learner", partial(host.remote, make_learner, reference))
    # One for all labellers whose actors keep dying, so that together they spend the share of one labeller.
    spare = OneAtATime(context.make_labeller(context.labellers))
    start_labeller = partial(host.remote, context.make_labeller, context.labellers)
    labellers = [ActorProxy("labeller", start_labeller, spare) for _ in range(context.labellers)]

    def close() -> None:
        if not ray.is_initialized():
            return
        similarity.end(close=True)
        for proxy in (learner, *labellers):
            proxy.end()
        if started:
            ray.shutdown()

    pool = LabellerPool(cast(list[Labeller], labellers))
    return Workers(cast(Similarity, similarity), cast(Learner, learner), pool, close)


class OneAtATime:
    """A labeller that several threads share; it is called by one at a time."""

    def __init__(self, labeller: Labeller) -> None:
        self._labeller = labeller
        self._lock = threading.Lock()

    def label(self, questions: list[Question]) -> list[Answer]:
        """See `Labeller.label`."""
        with self._lock:
            return self._labeller.label(questions)


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
    root = str(Path(__file__).resolve().parents[2])
    others = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != root]
    path = os.pathsep.join([root, *others])
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "PYTHONPATH": path}
    before = {name: os.environ.get(name) for name in quiet}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    os.environ.update(quiet)  # the processes that Ray starts inherit these; this process gets its own back
    try:
        started_here: dict[str, Any] = {
            "address": "local",
            "num_cpus": cpus,
            "num_gpus": 0,
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
        }
        options = started_here if address is None else {"address": address}
        ray.init(logging_level="ERROR", log_to_driver=False, **options)
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
