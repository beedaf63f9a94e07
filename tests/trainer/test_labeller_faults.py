from types import SimpleNamespace

import pytest
import ray
from ray.exceptions import RayActorError, RayTaskError

from tests.trainer.test_recipe import _settings
from trainer.errors import LabellerError
from trainer.labelling.base import Answer, Question, SystemCard
from trainer.recipe import train
from trainer.workers import ray_actors as actors
from trainer.workers.local import BATCH_QUESTIONS, LocalCrew

CARD = SystemCard("shop", 1)
QUESTIONS = [Question(f"{n:016x}", 1, (((f"e{n}", 1),),), (1,), {}) for n in range(300)]


class Teller:
    """A labeller that answers until a batch with a certain question comes."""

    def __init__(self, last=None, error=None):
        self.last, self.error = last, error
        self.batches = []

    def label(self, questions, _card):
        """Normal, all of them, or the error."""
        self.batches.append(len(questions))
        if any(question.group == self.last for question in questions):
            raise self.error
        return [Answer(question.group, "normal", 0.9, prompt_hash=question.group) for question in questions]


class Silent(LocalCrew):
    """A crew whose labeller is away."""

    def label(self, questions, _card):
        """No answer."""
        yield [Answer(question.group, "abstain", 0.0, reason="endpoint did not answer") for question in questions]


def test_a_model_that_was_told_nothing_is_not_made(tmp_path):
    """When no question gets an answer the run fails and names the reason, and the model that serves stays."""
    with pytest.raises(
        LabellerError, match=r"at least once, got \d+ abstentions \(most often: endpoint did not answer\)"
    ):
        train(_settings(tmp_path), hire_crew=lambda assignment, _: Silent(assignment))
    assert not (tmp_path / "out").exists()


def test_an_error_of_ours_leaves_an_actor_as_its_one_line(monkeypatch):
    """Ray's traceback of a wrong key or model stays out of the message."""

    def failed(_reference):
        raise RayTaskError("label", "a long traceback", LabellerError("api_key must be right")).as_instanceof_cause()

    monkeypatch.setattr(ray, "get", failed)
    with pytest.raises(LabellerError) as caught:
        actors._result(None)
    assert str(caught.value) == "api_key must be right"


def _local_crew(labeller):
    crew = object.__new__(LocalCrew)
    crew._labeller = labeller
    return crew


@pytest.fixture
def ray_crew(monkeypatch):
    """Makes a Ray crew whose labellers are called in this process, without Ray; the last replaces those that die."""

    def made(labellers, here=None):
        crew = object.__new__(actors.RayCrew)
        crew._log = actors.structlog.get_logger("test")
        crew._assignment = SimpleNamespace(labellers=len(labellers), make_labeller=here)
        crew._last_resort = None
        crew._labellers = [_actor(labeller) for labeller in labellers]
        crew._new_labeller = lambda: _actor(labellers[-1])
        return crew

    def _actor(labeller):
        return SimpleNamespace(
            label=SimpleNamespace(remote=lambda batch, card: lambda: labeller.label(batch, card)),
        )

    monkeypatch.setattr(ray, "wait", lambda references, num_returns: (references[:num_returns], None))
    monkeypatch.setattr(ray, "get", lambda reference: reference())
    return made


def _taken(batches):
    """Groups that came before an error, and the error."""
    groups = []
    try:
        for batch in batches:
            groups += [answer.group for answer in batch]
    except LabellerError as error:
        return groups, error
    return groups, None


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_questions_go_out_in_small_batches(kind, ray_crew):
    """A run that is killed loses the answers of one batch a worker, not those of a whole round."""
    labeller = Teller()
    crew = _local_crew(labeller) if kind == "local" else ray_crew([labeller])
    groups, _ = _taken(crew.label(QUESTIONS, CARD))
    assert groups == [question.group for question in QUESTIONS]
    assert max(labeller.batches) <= BATCH_QUESTIONS


def test_an_error_ends_the_labelling_after_what_others_answered_was_taken(ray_crew):
    """One worker's key is refused: the batch that another is at is paid, comes through, and then the error."""
    refused = Teller(QUESTIONS[0].group, LabellerError("api_key must be right"))
    other = Teller()
    groups, error = _taken(ray_crew([other, refused]).label(QUESTIONS, CARD))
    assert str(error) == "api_key must be right"
    assert len(other.batches) == 1
    assert len(groups) == other.batches[0]


def test_the_last_resort_has_a_workers_share_once(ray_crew):
    """Batches whose actors keep dying are asked here, by one labeller that is told how many share the tokens."""
    made = []

    def here(workers):
        made.append(workers)
        return Teller()

    dying = Teller()
    dying.label = lambda *_: (_ for _ in ()).throw(RayActorError(error_msg="killed"))
    groups, _ = _taken(ray_crew([dying, dying], here).label(QUESTIONS, CARD))
    assert sorted(groups) == [question.group for question in QUESTIONS]
    assert made == [2]
