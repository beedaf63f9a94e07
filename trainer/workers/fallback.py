"""The workers that the settings ask for, and local ones where Ray does not start; later its failures end the run."""

import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from trainer.context import TrainingContext
from trainer.errors import WorkersError
from trainer.settings import TrainerSettings
from trainer.workers.local import Workers, local_workers

StartRay = Callable[[TrainingContext, str | None], Workers]

ATTEMPTS = 2
_PAUSE_SECONDS = 2.0
"""Before the second attempt: CPUs of a run that has just ended are free again in Ray's books after about a second."""
_CAUSE_CHARACTERS = 400


def start_workers(
    context: TrainingContext,
    settings: TrainerSettings,
    start_ray: StartRay | None = None,
    pause_seconds: float = _PAUSE_SECONDS,
) -> Workers:
    """Workers behind Ray, or in this process where `settings.workers` says so or Ray fails twice.

    Args:
        context: the inputs of the run.
        settings: say which workers, and the address of a cluster.
        start_ray: starts the workers behind Ray; `trainer.workers.ray_actors.ray_workers` by default.
        pause_seconds: before the second attempt.
    """
    if settings.workers == "local":
        return local_workers(context)
    log = structlog.get_logger(__name__)
    cause = ""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return (start_ray or _ray_workers)(context, settings.ray_address)
        except (WorkersError, ImportError) as error:
            cause = " ".join(str(error).split())[:_CAUSE_CHARACTERS]
            log.warning("workers.ray_failed", attempt=attempt, error=cause)
        if attempt < ATTEMPTS:
            time.sleep(pause_seconds)
    warning = (
        f"workers must be Ray's, got none in {ATTEMPTS} attempts ({cause}): this run used local workers, with one "
        "labeller; repair Ray, or set workers to local (--workers local)"
    )
    log.warning("workers.local", cause=cause)
    local = local_workers(context)
    return replace(local, warnings=(*local.warnings, warning))


def _ray_workers(context: TrainingContext, address: str | None) -> Workers:
    from trainer.workers.ray_actors import ray_workers

    return ray_workers(context, address)
