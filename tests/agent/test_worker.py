"""The agent's parts together: what its probes say, and how it ends."""

import asyncio
from typing import Any

import pytest
from faust.types import TP

from agent.errors import BatchLost
from agent.runtime.batch import Batch
from agent.settings import AgentSettings
from agent.testing import FakeClock
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


def worker(clock: FakeClock) -> Worker:
    """A worker that was not started, with one partition whose consumer does not answer."""
    settings = {
        "systems": [{"topics": ["raw"], "spec": SYSTEM.model_dump()}],
        "http": {"port": 0, "stalled_seconds": 10},
    }
    made = Worker(AgentSettings.model_validate(settings), Timeouts(progress_seconds=0.01), clock.clock)
    checkpointer: Any = made.checkpointer
    checkpointer._consumer = _SilentThread()
    checkpointer.partitions = {TP("raw", 0): _Partition()}
    return made


async def test_the_live_probe_fails_when_no_tick_ends() -> None:
    """A tick whose consumer does not answer does not count as alive; after its time-out the next one may pass."""
    clock = FakeClock()
    made = worker(clock)
    clock.advance(100)
    assert made._alive().ok, "before its start it counts as alive"
    made._ticked_at = clock.seconds
    with pytest.raises(TimeoutError):
        await made._tick()
    clock.advance(10.5)
    assert made._alive().ok
    clock.advance(1)
    assert not made._alive().ok
    assert made._alive().detail["seconds_without_tick"] == 11.5
    made.checkpointer.partitions = {}
    await made._tick()
    assert made._alive().ok


async def test_a_tick_that_times_out_does_not_end_the_loop() -> None:
    """The loop calls its action again after a time-out, and ends with any other error."""
    calls: list[int] = []

    async def action() -> None:
        calls.append(len(calls))
        raise TimeoutError if len(calls) < 3 else BatchLost("enough")

    with pytest.raises(BatchLost):
        await every(0, action)
    assert calls == [0, 1, 2]


async def test_an_error_of_ours_is_logged_once_and_without_a_stack(caplog: pytest.LogCaptureFixture) -> None:
    """It ends the agent, and is logged where the agent ends, not where it is caught first."""
    made = worker(FakeClock())
    await made.take(TP("raw", 0), Batch(1, 2, []))
    assert isinstance(made.failure, BatchLost)
    assert made.failed.is_set()
    assert caplog.records == []
