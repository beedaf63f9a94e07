"""Which workers a run gets, with a Ray that fails on purpose."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.trainer.tiny_run import tiny_settings
from trainer.context import TrainingContext
from trainer.errors import LabellerError, WorkersError
from trainer.progress import Progress
from trainer.recipe import make_context, read_systems
from trainer.settings import TrainerSettings
from trainer.workers.fallback import ATTEMPTS, start_workers
from trainer.workers.local import Workers, local_workers


class FailingRay:
    """A Ray whose first starts fail.

    Args:
        errors: of the starts, in order; a start after the last one gives workers.
    """

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.addresses: list[str | None] = []
        self.workers: Workers | None = None

    def __call__(self, context: TrainingContext, address: str | None) -> Workers:
        self.addresses.append(address)
        if self._errors:
            raise self._errors.pop(0)
        self.workers = local_workers(context)
        return self.workers


@pytest.fixture
def settings(tmp_path: Path) -> TrainerSettings:
    """Settings of a tiny run on a cluster."""
    return tiny_settings(tmp_path, ray_address="ray-head:6379")


@pytest.fixture
def context(settings: TrainerSettings) -> TrainingContext:
    """Its inputs, without Milvus."""
    made = make_context(settings, read_systems(settings, Progress()))
    return replace(made, milvus=None)


def start(context: TrainingContext, settings: TrainerSettings, ray: FailingRay) -> tuple[Workers, list[Any]]:
    """The workers and the log."""
    with structlog.testing.capture_logs() as logs:
        return start_workers(context, settings, ray, pause_seconds=0.0), logs


def test_local_workers_start_no_ray(context: TrainingContext, settings: TrainerSettings) -> None:
    """`workers: local` is obeyed without an attempt and without a warning."""
    ray = FailingRay()
    workers, _ = start(context, settings.model_copy(update={"workers": "local"}), ray)
    assert (ray.addresses, workers.warnings) == ([], ())


def test_a_ray_that_fails_once_is_used(context: TrainingContext, settings: TrainerSettings) -> None:
    """One more attempt at the same address; the run has what it asked for, so there is no warning."""
    ray = FailingRay(WorkersError("no answer in time"))
    workers, logs = start(context, settings, ray)
    assert ray.addresses == ["ray-head:6379"] * 2
    assert workers is ray.workers
    assert workers.warnings == ()
    assert [entry["error"] for entry in logs if entry["event"] == "workers.ray_failed"] == ["no answer in time"]


@pytest.mark.parametrize("error", [WorkersError("the raylet\n  has died"), ImportError("the raylet has died")])
def test_a_ray_that_keeps_failing_gives_way_to_local_workers(
    context: TrainingContext, settings: TrainerSettings, error: Exception
) -> None:
    """The run goes on; report and log name the cause of the last failure in one line."""
    ray = FailingRay(*[error] * ATTEMPTS, AssertionError("a third attempt"))
    workers, logs = start(context, settings, ray)
    assert len(ray.addresses) == ATTEMPTS == 2
    assert "(the raylet has died)" in workers.warnings[0]
    assert "workers to local" in workers.warnings[0]
    assert logs[-1]["event"] == "workers.local"
    assert logs[-1]["cause"] == "the raylet has died"
    assert workers.learner.logits().shape == (len(context.target.signatures),)


def test_another_error_is_no_failure_of_ray(context: TrainingContext, settings: TrainerSettings) -> None:
    """A labeller that is set up wrongly would fail in local workers, too: it ends the run at once."""
    ray = FailingRay(LabellerError("api_key must be right"))
    with pytest.raises(LabellerError):
        start(context, settings, ray)
    assert len(ray.addresses) == 1
