import pytest
import ray
from ray.exceptions import RayTaskError

from tests.trainer.test_recipe import _settings
from trainer import actors
from trainer.crew import LocalCrew
from trainer.errors import LabellerError
from trainer.labelling.base import Answer
from trainer.recipe import train


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
