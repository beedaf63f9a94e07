"""The agent's parts together: what its probes say, and how it ends."""

import asyncio
from typing import Any

import pytest
from faust.types import TP

from agent.errors import BatchLost
from agent.runtime.batch import Batch
from agent.settings import AgentSettings
from agent.timeouts import Timeouts
from agent.worker import Worker, every
from detector.testing import SYSTEM


class _SilentThread:
    """A consumer thread whose loop answers nothing."""

    async def progress(self, _names: list[Any]) -> dict[Any, Any]:
        await asyncio.Event().wait()
        return {}


class _Partition:
    """A partition that is only there, or loses a batch."""

    alive = True
    dirty = False

    async def take(self, _batch: Batch) -> None:
        raise BatchLost("batch 1 must come next, got 2")


def worker() -> Worker:
    """A worker that was not started, with one partition whose consumer does not answer."""
    settings = {
        "systems": [{"topics": ["raw"], "spec": SYSTEM.model_dump()}],
        "http": {"port": 0, "stalled_seconds": 0.2},
    }
    made = Worker(AgentSettings.model_validate(settings), Timeouts(tick_seconds=0.05, progress_seconds=0.05))
    checkpointer: Any = made.checkpointer
    checkpointer._consumer = _SilentThread()
    checkpointer.partitions = {TP("raw", 0): _Partition()}
    return made


async def test_the_live_probe_fails_when_the_clock_stands_still() -> None:
    """A tick whose consumer does not answer does not count as alive, and ends after its time-out."""
    made = worker()
    assert made._alive().ok, "before its start it counts as alive"
    made._ticked_at = 0.0
    ticking = asyncio.create_task(made._guard(every(0.01, made._tick)))
    await asyncio.sleep(0.3)
    assert not made._alive().ok
    assert "seconds_without_tick" in made._alive().detail
    assert not ticking.done()
    made.checkpointer.partitions = {}
    for _ in range(1_000):
        await asyncio.sleep(0.01)
        if made._alive().ok:
            break
    assert made._alive().ok
    ticking.cancel()


async def test_an_error_of_ours_is_logged_once_and_without_a_stack(caplog: pytest.LogCaptureFixture) -> None:
    """It ends the agent, and is logged where the agent ends, not where it is caught first."""
    made = worker()
    await made.take(TP("raw", 0), Batch(1, 2, []))
    assert isinstance(made.failure, BatchLost)
    assert made.failed.is_set()
    assert caplog.records == []
