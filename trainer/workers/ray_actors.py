"""The workers of a run as Ray actors: one for similarity and retrieval, one learner, several labellers.

The only import of Ray. Each role (`trainer.workers.local`) is built inside an actor and called through one proxy. An
actor that dies is replaced: the new one resumes from the snapshot that the proxy took after the last change, and the
call is repeated. Limits of a labeller (its share of the tokens, its deadline) start anew with its actor, so each death
can cost one share of `max_tokens_total` more; answers that were yielded are never paid for again.

An actor that finds no free CPU waits for ever in Ray. So a cluster's free CPUs are counted first and fewer labellers
are started where there are few, and every actor must be running within a bounded time.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from time import monotonic
from typing import Any, cast

import ray
import structlog
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from trainer.context import TrainingContext
from trainer.errors import TrainerError, WorkersError
from trainer.labelling.base import Answer, Labeller, Question
from trainer.learning.training import Learner
from trainer.workers.local import LabellerPool, Similarity, Workers, make_learner

ATTEMPTS = 3
PLACE_SECONDS = 120.0
"""Within which an actor's process must run; on two busy cores four of them took 5 s."""
_CONNECT_SECONDS = 5.0
_CLOSE_SECONDS = 3.0
_SINGLE_ROLES = 2
"""Actors beside the labellers: similarity and learner."""


class RoleHost:
    """A role, built by `make(argument)` in the process of an actor when it is first called."""

    def __init__(self, make: Callable[[Any], Any], argument: Any) -> None:
        self._make = partial(make, argument)

    @cached_property
    def _role(self) -> Any:
        return self._make()

    def ready(self) -> None:
        """Nothing: an answer means that the process runs."""

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
        if "_role" in self.__dict__:
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
        self._placed = False
        self._snapshot: Any = None
        self._closed = False
        self._gave_up = False

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return partial(self._call, method)

    def wait_until_placed(self, seconds: float = PLACE_SECONDS) -> None:
        """Return when the process of the actor runs, and has the state of the one before it.

        Raises:
            GetTimeoutError: it does not within `seconds`.
            RayActorError: it died.
            RayTaskError: it could not take the state.
        """
        if self._placed:
            return
        try:
            ray.get(self._actor.ready.remote(), timeout=max(0.0, seconds))
        except GetTimeoutError as error:
            raise GetTimeoutError(f"the {self._name} actor found no free CPU in time") from error
        if self._snapshot is not None:
            _result(self._actor.resume.remote(self._snapshot))
        self._placed = True

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
        if self._gave_up:
            return getattr(self._fallback, method)(*arguments)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.wait_until_placed()
                result, snapshot = _result(self._actor.call.remote(method, arguments))
            except (RayActorError, GetTimeoutError) as error:
                reason = str(error).splitlines()[0][:200]
                if self._closed or (attempt == ATTEMPTS and self._fallback is None):
                    raise TrainerError(
                        f"the {self._name} actor died {attempt} times, last: {reason}; are memory and CPUs enough?"
                    ) from error
                structlog.get_logger(__name__).warning("actor.died", actor=self._name, attempt=attempt, error=reason)
                if attempt < ATTEMPTS:
                    self._actor, self._placed = self._start(), False
            else:
                self._snapshot = snapshot if snapshot is not None else self._snapshot
                return result
        self._gave_up = True  # each further call would wait as long again
        return getattr(self._fallback, method)(*arguments)


def ray_workers(context: TrainingContext, address: str | None = None) -> Workers:
    """Workers behind actors of the cluster at `address`; None starts one here, on the loopback, until they are closed.

    Raises:
        WorkersError: Ray does not start, the cluster does not answer, or it has too few free CPUs.
    """
    started = _start_ray(address, _SINGLE_ROLES + context.labellers)
    proxies: list[ActorProxy] = []

    def close() -> None:
        if not ray.is_initialized():
            return
        for proxy in proxies:
            proxy.end(close=proxy is proxies[0])
        if started:
            ray.shutdown()

    try:
        # A Ray that was started here has one CPU per actor, whatever the machine has.
        fitting = context.labellers if started and address is None else _fitting_labellers(context.labellers)
        proxies += _proxies(replace(context, labellers=fitting))
        _wait_until_placed(proxies)
    except BaseException as error:
        try:
            close()
        except Exception as second:  # noqa: BLE001 - the first error says why
            structlog.get_logger(__name__).warning("workers.not_closed", error=str(second)[:200])
        if isinstance(error, RayError):
            raise WorkersError(f"Ray must start the actors, got {type(error).__name__}: {error}") from error
        raise
    similarity, learner, *labellers = proxies
    shortage = (
        f"Ray's free CPUs were enough for {fitting} of {context.labellers} labellers, so labelling took longer: give "
        "the cluster more CPUs, or set labellers to fewer"
    )
    warnings = (shortage,) if fitting < context.labellers else ()
    pool = LabellerPool(cast(list[Labeller], labellers))
    return Workers(cast(Similarity, similarity), cast(Learner, learner), pool, close, warnings)


def _proxies(context: TrainingContext) -> list[ActorProxy]:
    """Similarity, learner and labellers, their actors being started."""
    reference = ray.put(context)
    host = ray.remote(RoleHost).options(num_cpus=1)
    # One for all labellers whose actors keep dying, so that together they spend the share of one labeller.
    spare = OneAtATime(context.make_labeller(context.labellers))
    start_labeller = partial(host.remote, context.make_labeller, context.labellers)
    return [
        ActorProxy("similarity", partial(host.remote, Similarity, reference)),
        ActorProxy("learner", partial(host.remote, make_learner, reference)),
        *(ActorProxy("labeller", start_labeller, spare) for _ in range(context.labellers)),
    ]


def _fitting_labellers(wanted: int) -> int:
    """How many labellers the free CPUs of the cluster have room for, at most `wanted`.

    Raises:
        WorkersError: for none.
    """
    free = int(ray.available_resources().get("CPU", 0.0))
    if free <= _SINGLE_ROLES:
        total = int(ray.cluster_resources().get("CPU", 0.0))
        raise WorkersError(f"Ray must have {_SINGLE_ROLES + 1} free CPUs, one for each actor, got {free} of {total}")
    return min(wanted, free - _SINGLE_ROLES)


def _wait_until_placed(proxies: Sequence[ActorProxy]) -> None:
    """Wait until all actors run; something else may have taken the CPUs that were free before."""
    deadline = monotonic() + PLACE_SECONDS
    try:
        for proxy in proxies:
            proxy.wait_until_placed(deadline - monotonic())
    except (GetTimeoutError, RayActorError) as error:
        raise WorkersError(f"Ray must start {len(proxies)} actors within {PLACE_SECONDS:g} s, got: {error}") from error


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
    if address is not None:
        _check_reachable(address)
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
        ray.shutdown()  # what has started of it
        must = "Ray must start" if address is None else f"ray_address must name a Ray cluster that answers: {address!r}"
        raise WorkersError(f"{must}, got {type(error).__name__}: {error}") from error
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


def _check_reachable(address: str) -> None:
    """Make sure that something listens at `host:port`: where nothing does, Ray itself tries for a quarter of an hour.

    Raises:
        WorkersError: nothing does; the message has the reason.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise WorkersError(f"ray_address must name a Ray cluster that answers: {address!r}, got {error}") from error
