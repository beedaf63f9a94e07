import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import ray

from detector.model.shape import NetworkShape
from detector.system import SystemSpec
from trainer.context import TrainingContext
from trainer.errors import LabellerError, TrainerError, WorkersError
from trainer.labellers import Mixture
from trainer.labelling.base import Answer, Question, SameLabeller
from trainer.learning.encoding import make_embedder
from trainer.learning.meta_learning import MetaSettings
from trainer.settings import TrainerSettings
from trainer.testing import TEXTS, FakeLabeller, corpus, history
from trainer.workers.fallback import start_workers
from trainer.workers.local import Workers, local_workers
from trainer.workers.ray_actors import ATTEMPTS, ActorProxy, OneAtATime, ray_workers

pytestmark = pytest.mark.ray

WINDOWS, KINDS = history(count=150)
SOURCE = corpus(WINDOWS, "old", labels=[bool(kind) for kind in KINDS])
TARGET = corpus(history(5, 150)[0])
QUESTIONS = [Question(f"{n:016x}", 1, (((f"e{n}", 1),),), (1,), TEXTS) for n in range(120)]


@dataclass(frozen=True)
class Mortal:
    """Builds a labeller whose process dies once, at the fortieth question; a file remembers that it did."""

    path: Path

    def __call__(self, _labellers: int) -> "MortalLabeller":
        return MortalLabeller(self.path)


class MortalLabeller(FakeLabeller):
    """See `Mortal`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def label(self, questions: Sequence[Question]) -> list[Answer]:
        if any(question.group == QUESTIONS[40].group for question in questions) and not self.path.exists():
            self.path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().label(questions)


@pytest.fixture
def context(tmp_path: Path) -> TrainingContext:
    """A small run."""
    embedder = make_embedder((SOURCE, TARGET))
    return TrainingContext(
        spec=SystemSpec(name="shop"),
        templates=(),
        source=SOURCE,
        target=TARGET,
        embedder=embedder,
        shape=NetworkShape(event_dim=embedder.dim, hidden=8),
        seed=0,
        make_labeller=Mortal(tmp_path / "died"),
        labellers=2,
        milvus=str(tmp_path / "vectors.db"),
    )


@pytest.fixture
def behind_actors(context: TrainingContext) -> Iterator[Workers]:
    """Workers behind Ray actors; Ray is down afterwards."""
    workers = ray_workers(context)
    try:
        yield workers
    finally:
        workers.close()
        assert not ray.is_initialized()


def _kill(role: Any) -> None:
    """Kill the process of a role's actor, as the kernel does when memory runs out."""
    actor = cast(ActorProxy, role)._actor
    pid = ray.get(actor.__ray_call__.remote(lambda _self: os.getpid()))
    os.kill(pid, signal.SIGKILL)
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)


@pytest.mark.ray
def test_actors_do_what_local_workers_do_and_survive_their_deaths(
    behind_actors: Workers, context: TrainingContext
) -> None:
    """Same routing, model and neighbors as in one process, although an actor of each role is killed on the way."""
    local = local_workers(replace(context, milvus=None))
    both = (behind_actors, local)
    assert np.array_equal(behind_actors.similarity.route()[1].scores, local.similarity.route()[1].scores)

    batches = list(behind_actors.labellers.label(QUESTIONS))
    assert sorted(answer.group for batch in batches for answer in batch) == [question.group for question in QUESTIONS]

    general = np.arange(len(TARGET.signatures))
    labels = np.zeros(len(general))
    labels[:5] = 1.0
    for workers in both:
        workers.learner.meta_learn(general, MetaSettings(steps=3, batch=4))
        workers.learner.fine_tune(labels, np.ones(len(labels)), 2, Mixture())
    _kill(behind_actors.learner)
    for workers in both:
        workers.learner.fine_tune(labels, np.ones(len(labels)), 2, Mixture())
    assert np.array_equal(behind_actors.learner.logits(), local.learner.logits())

    names = [signature.id for signature in TARGET.signatures[:6]]
    runs = [signature.runs for signature in TARGET.signatures[:6]]
    for workers in both:
        workers.similarity.add(names, runs)
    _kill(behind_actors.similarity)
    assert behind_actors.warnings == ()
    found, expected = (workers.similarity.neighbors(names, runs) for workers in both)
    assert [[match.group for match in one] for one in found] == [[match.group for match in one] for one in expected]


@pytest.fixture
def cluster() -> Iterator[Callable[[int], None]]:
    """Starts a Ray with some CPUs that the run finds there; it is down afterwards."""

    def start(cpus: int) -> None:
        ray.init(
            address="local",
            num_cpus=cpus,
            num_gpus=0,
            include_dashboard=False,
            logging_level="ERROR",
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )

    yield start
    ray.shutdown()


def test_one_cpu_is_no_reason_to_wait(cluster: Callable[[int], None], context: TrainingContext) -> None:
    """A Ray without room for the actors gives way to local workers, and the report says what it lacked."""
    cluster(1)
    target = {"path": "a.log"}
    settings = TrainerSettings.model_validate({"target": target})
    workers = start_workers(replace(context, milvus=None), settings, pause_seconds=0.0)
    assert "must have 3 free CPUs, one for each actor, got 1 of 1" in workers.warnings[0]
    assert not isinstance(workers.learner, ActorProxy)


def test_few_cpus_are_fewer_labellers(cluster: Callable[[int], None], context: TrainingContext) -> None:
    """The labeller that fits answers alone; what it cost in time is a warning."""
    cluster(3)
    workers = ray_workers(replace(context, make_labeller=SameLabeller(FakeLabeller()), labellers=4))
    try:
        assert "enough for 1 of 4 labellers" in workers.warnings[0]
        batches = list(workers.labellers.label(QUESTIONS[:20]))
        assert sum(map(len, batches)) == 20
    finally:
        workers.close()


@pytest.fixture
def broken_init(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`ray.init` fails; the calls that were made of Ray."""
    calls: list[str] = []

    def init(**_: Any) -> None:
        calls.append("init")
        raise RuntimeError("no raylet in time")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("shutdown"))
    return calls


def test_an_address_at_which_nothing_listens_is_refused_at_once(
    broken_init: list[str], context: TrainingContext
) -> None:
    """Ray would try for a quarter of an hour; the reason is that of the connection."""
    with socket.socket() as held:  # bound and not listening: nothing else gets the port
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(WorkersError, match=f"Ray cluster that answers: '{address}', got .*refused"):
            ray_workers(context, address)
    assert broken_init == []


def test_what_has_started_of_a_ray_that_fails_is_ended(broken_init: list[str], context: TrainingContext) -> None:
    """The next attempt begins anew, and the error has the kind and the text of Ray's."""
    with pytest.raises(WorkersError, match="Ray must start, got RuntimeError: no raylet in time"):
        ray_workers(context)
    assert broken_init == ["init", "shutdown"]


class FakeMethod:
    """A method of a fake actor; its reference is a call that is not made yet."""

    def __init__(self, function: Any) -> None:
        self.remote = lambda *arguments: lambda: function(*arguments)


class FakeActor:
    """An actor in this process: `call`, `ready` and `resume` of a host."""

    def __init__(self, call: Any, resumed: list[Any], ready: Any = lambda: None) -> None:
        self.call = FakeMethod(call)
        self.ready = FakeMethod(ready)
        self.resume = FakeMethod(resumed.append)


@pytest.fixture
def _without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ray.get` makes the call of a fake reference."""
    monkeypatch.setattr(ray, "get", lambda reference, **_: reference())
    monkeypatch.setattr(ray, "kill", lambda _: None)


def _dies(*_: Any) -> Any:
    raise ray.exceptions.RayActorError(error_msg="killed")


def _waits(*_: Any) -> Any:
    raise ray.exceptions.GetTimeoutError("no CPU")


@pytest.mark.usefixtures("_without_ray")
def test_a_new_actor_resumes_from_the_last_change() -> None:
    """The snapshot after the last changing call goes to the next actor, and the call is repeated there."""
    resumed: list[Any] = []
    calls: Iterator[Any] = iter([lambda *_: ("changed", "snapshot"), _dies, _dies, lambda *_: ("result", None)])

    def call(*arguments: Any) -> Any:
        return next(calls)(*arguments)

    proxy = ActorProxy("learner", lambda: FakeActor(call, resumed))
    assert proxy.fine_tune() == "changed"
    assert proxy.logits() == "result"
    assert resumed == ["snapshot", "snapshot"]


@pytest.mark.usefixtures("_without_ray")
def test_an_actor_that_keeps_dying_ends_the_run() -> None:
    """The error names the role, the number of deaths and the usual cause."""
    proxy = ActorProxy("learner", lambda: FakeActor(_dies, []))
    with pytest.raises(
        TrainerError, match=f"the learner actor died {ATTEMPTS} times, last: .*are memory and CPUs enough"
    ):
        proxy.logits()


@pytest.mark.usefixtures("_without_ray")
def test_an_actor_that_finds_no_cpu_after_a_death_ends_the_run() -> None:
    """A cluster that has lost a node has no room for the next actor: the call ends instead of waiting for ever."""
    ready: Iterator[Any] = iter([lambda: None, *[_waits] * (ATTEMPTS - 1)])
    proxy = ActorProxy("learner", lambda: FakeActor(_dies, [], next(ready)))
    with pytest.raises(TrainerError, match="last: the learner actor found no free CPU in time"):
        proxy.logits()


@pytest.mark.usefixtures("_without_ray")
def test_questions_of_labellers_that_keep_dying_are_asked_in_this_process() -> None:
    """The one spare labeller answers for all of them, so that they spend one labeller's share of the tokens."""
    spare = FakeLabeller()
    shared = OneAtATime(spare)
    proxies = [ActorProxy("labeller", lambda: FakeActor(_dies, []), shared) for _ in range(2)]
    for proxy, question in zip(proxies, QUESTIONS[:2], strict=True):
        assert [answer.group for answer in proxy.label([question])] == [question.group]
    assert spare.asked == [question.group for question in QUESTIONS[:2]]


@pytest.mark.usefixtures("_without_ray")
def test_a_labeller_that_gave_its_actors_up_starts_no_more() -> None:
    """Each attempt can wait for minutes: later calls go to the spare at once, and no actor follows the last attempt."""
    started: list[FakeActor] = []

    def start() -> FakeActor:
        started.append(FakeActor(_dies, [], _waits))
        return started[-1]

    spare = FakeLabeller()
    proxy = ActorProxy("labeller", start, OneAtATime(spare))
    for question in QUESTIONS[:3]:
        proxy.label([question])
    assert len(started) == ATTEMPTS
    assert spare.asked == [question.group for question in QUESTIONS[:3]]


@pytest.mark.usefixtures("_without_ray")
def test_a_new_actor_that_cannot_resume_is_an_error() -> None:
    """A learner that forgot its training must not go on from the start."""

    def failed(*_: Any) -> Any:
        raise ray.exceptions.RayTaskError("resume", "a traceback", ValueError("no such weight"))

    calls: Iterator[Any] = iter([lambda *_: ("changed", "snapshot"), _dies, lambda *_: ("forgot", None)])

    def call(*arguments: Any) -> Any:
        return next(calls)(*arguments)

    actor = FakeActor(call, [])
    actor.resume = FakeMethod(failed)
    proxy = ActorProxy("learner", lambda: actor)
    assert proxy.fine_tune() == "changed"
    with pytest.raises(ray.exceptions.RayTaskError, match="a traceback"):
        proxy.logits()


@pytest.fixture
def unplaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ray that is there, whose actors cannot be made, and whose end fails."""

    def fail(*_: Any, **__: Any) -> None:
        raise ray.exceptions.RaySystemError("the object store is full")

    def broken() -> None:
        raise RuntimeError("the raylet is gone")

    monkeypatch.setattr("trainer.workers.ray_actors._start_ray", lambda *_: True)
    monkeypatch.setattr("trainer.workers.ray_actors._proxies", fail)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", broken)


@pytest.mark.usefixtures("unplaced")
def test_an_error_of_ray_at_the_start_gives_way_to_local_workers(context: TrainingContext) -> None:
    """Whatever Ray raises there, and although its end fails, too, the fallback learns what came first."""
    with pytest.raises(WorkersError, match=r"Ray must start the actors, got RaySystemError: .*object store is full"):
        ray_workers(context)


@pytest.mark.usefixtures("_without_ray")
def test_a_call_that_fails_because_the_run_ends_starts_no_actor() -> None:
    """Ctrl-C kills the actors; a thread that waits for one gives up instead of making a new one."""
    started: list[FakeActor] = []

    def start() -> FakeActor:
        started.append(FakeActor(_dies, []))
        return started[-1]

    proxy = ActorProxy("labeller", start, OneAtATime(FakeLabeller()))
    proxy.end()
    with pytest.raises(TrainerError, match="labeller actor died"):
        proxy.label(QUESTIONS)
    assert len(started) == 1


@pytest.mark.usefixtures("_without_ray")
def test_an_error_of_ours_leaves_an_actor_as_its_one_line() -> None:
    """Ray's traceback of a wrong key or model stays out of the message."""

    def failed(*_: Any) -> Any:
        cause = LabellerError("api_key must be right")
        raise ray.exceptions.RayTaskError("label", "a long traceback", cause).as_instanceof_cause()

    with pytest.raises(LabellerError) as caught:
        ActorProxy("labeller", lambda: FakeActor(failed, [])).label(QUESTIONS)
    assert str(caught.value) == "api_key must be right"
