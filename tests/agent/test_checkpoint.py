"""Checkpoints: position, snapshot and acknowledged output move together or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from agent.errors import BatchLost, LostState, PositionLost, SnapshotTooLarge
from agent.runtime.batch import Batch, CommittedPosition, FetchProgress
from agent.runtime.snapshot_store import Stored
from agent.stages.detect import DetectionStage, SystemDetection
from agent.stages.stage import PlainRecord, TopicRole
from agent.testing import Bed, records_of
from agent.timeouts import Timeouts
from detector.testing import SYSTEM

LINES = [PlainRecord(at, f"order={at % 3} received from 10.0.0.7".encode(), 1_700_000_000_000) for at in range(10)]
UNREADABLE = PlainRecord(0, b"\xff", 1)


def detection(timeouts: Timeouts | None = None, **changes: Any) -> Bed:
    """A bed with the detection stage, served by the baseline."""
    return Bed(SystemDetection(SYSTEM).stage, timeouts=timeouts or Timeouts(), **changes)


async def test_a_restart_goes_on_from_position_and_snapshot() -> None:
    """The committed position names a snapshot; restored from it, windows continue as without the restart."""
    bed = detection()
    await bed.restore()
    await bed.take(LINES[:5])
    assert await bed.checkpointer.checkpoint()
    assert bed.source.commits[-1][0] == 5
    await bed.restore()
    partition = bed.partition
    assert bed.source.sought == 5
    assert (partition.stage.position, partition.stage.open_windows) == (5, 3)
    await bed.take(LINES[5:])
    stage = partition.stage
    assert isinstance(stage, DetectionStage)
    windows = records_of(stage.close_idle(), TopicRole.WINDOWS)
    assert [window.offsets for window in windows] == [(0, 3, 6, 9), (1, 4, 7), (2, 5, 8)]


async def test_the_first_checkpoint_of_a_fresh_group_commits_its_start() -> None:
    """`start: latest` is committed at once: a crash before the first line must not skip lines that came meanwhile."""
    bed = detection(start="latest")
    await bed.restore()
    assert await bed.checkpointer.checkpoint()
    assert bed.source.commits[-1][0] == 100
    bed.source.found = CommittedPosition(100, bed.source.found.metadata, 0, 200)
    await bed.restore()
    assert bed.source.sought == 100


async def test_nothing_is_committed_before_its_output_is_acknowledged() -> None:
    """Output that the broker does not take holds the position back; once it does, the position follows."""
    bed = detection(Timeouts(acknowledge_seconds=0.05))
    await bed.restore()
    bed.sink.open.clear()
    await bed.take([UNREADABLE])
    assert bed.sink.pending
    assert not await bed.checkpointer.checkpoint()
    assert bed.source.commits == []
    bed.sink.open.set()
    assert await bed.checkpointer.checkpoint()
    assert bed.source.commits[-1][0] == 1


async def test_a_failed_commit_is_tried_again_and_its_snapshot_cleaned_up() -> None:
    """A refused commit leaves the old name valid; after the next success both older snapshots are tombstoned."""
    bed = detection()
    await bed.restore()
    await bed.take(LINES[:3])
    assert await bed.checkpointer.checkpoint()
    await bed.take(LINES[3:6])
    bed.source.refuse = KafkaError("not now")
    assert not await bed.checkpointer.checkpoint()
    assert (bed.source.found.committed, bed.store.forgotten) == (3, [])
    bed.source.refuse = None
    assert await bed.checkpointer.checkpoint()
    assert bed.source.found.committed == 6
    assert sorted(bed.store.forgotten) == [b"0", b"1"]


async def test_an_unchanged_partition_writes_nothing() -> None:
    """Without new lines there is no snapshot and no commit."""
    bed = detection()
    await bed.restore()
    assert await bed.checkpointer.checkpoint()
    assert await bed.checkpointer.checkpoint()
    assert len(bed.source.commits) == len(bed.store.bodies) == 1


async def test_the_position_passes_transaction_markers_only_when_all_is_processed() -> None:
    """Offsets without a record at the end are passed once the last fetched batch is processed, and not before."""
    bed = detection()
    await bed.restore()
    await bed.take(LINES[:5])
    bed.source.fetched = FetchProgress(9, 9, 2)
    await bed.checkpointer.checkpoint()
    assert bed.source.found.committed == 5
    await bed.partition.take(Batch(bed.source.epoch, 2, LINES[5:6]))
    await bed.checkpointer.checkpoint()
    assert bed.source.found.committed == 9


@pytest.mark.parametrize(
    "place",
    [
        CommittedPosition(5, "", 0, 100),
        CommittedPosition(5, "v1;base=3;last=3;sha=" + "0" * 64 + ";gen=1", 0, 100),
        CommittedPosition(500, "v1;base=0;last=0;sha=" + "0" * 64 + ";gen=1", 0, 100),
    ],
    ids=["no name", "no snapshot", "beyond the end"],
)
async def test_lost_state_stops_or_restarts_as_set(place: CommittedPosition) -> None:
    """Without its snapshot a position is an error that names the setting; with it, windows start again there."""
    bed = detection()
    bed.source.found = place
    with pytest.raises(LostState, match="on_lost_state: restart_windows"):
        await bed.restore()
    assert bed.checkpointer.partitions == {}
    restarting = detection(on_lost_state="restart_windows")
    restarting.source.found = place
    await restarting.restore()
    assert restarting.source.sought == (5 if place.committed == 5 else 0)


async def test_lines_that_retention_deleted_are_skipped_and_counted() -> None:
    """A position before the log's beginning moves there, and a metric counts the missing offsets."""
    bed = detection()
    await bed.restore()
    await bed.take(LINES[:5])
    await bed.checkpointer.checkpoint()
    bed.source.found = CommittedPosition(5, bed.source.found.metadata, 8, 100)
    await bed.restore()
    assert bed.source.sought == 8
    assert b'offsets_lost_total{system="orders"} 3.0' in bed.metrics.exposition()


async def test_a_batch_of_an_older_epoch_is_ignored_and_a_gap_is_an_error() -> None:
    """What was fetched before a seek is dropped; a batch that never arrived ends the agent."""
    bed = detection()
    await bed.restore()
    partition = bed.partition
    await partition.take(Batch(bed.source.epoch - 1, 1, LINES[:5]))
    assert partition.stage.position == 0
    await partition.take(Batch(bed.source.epoch, 1, LINES[:2]))
    with pytest.raises(BatchLost):
        await partition.take(Batch(bed.source.epoch, 3, LINES[4:6]))
    assert partition.stage.position == 2


async def test_a_batch_below_the_position_is_an_error() -> None:
    """Within an epoch offsets rise; one that falls is of another log, and skipping it would lose its lines."""
    bed = detection()
    await bed.restore()
    await bed.take(LINES[5:8])
    with pytest.raises(PositionLost, match="raw/0 must be at 8 or later, got 2"):
        await bed.take(LINES[2:4])
    assert bed.partition.stage.position == 8


async def test_release_is_bounded_and_leaves_no_commit_behind() -> None:
    """Revoked partitions are checkpointed if that is possible in time; afterwards nothing of them can be committed."""
    bed = detection()
    await bed.restore()
    await bed.take([UNREADABLE])
    partition = bed.partition
    bed.sink.open.clear()
    await bed.checkpointer.release(0.05)
    bed.sink.open.set()
    await asyncio.sleep(0.05)
    assert (bed.source.commits, bed.checkpointer.partitions, partition.alive) == ([], {}, False)
    await partition.take(Batch(bed.source.epoch, 2, LINES[1:2]))
    assert partition.stage.position == 1


async def test_a_consumer_that_does_not_answer_is_a_failed_checkpoint() -> None:
    """A consumer loop that hangs holds no checkpoint for ever; once it answers, the next one is made."""
    bed = detection(Timeouts(progress_seconds=0.05))
    await bed.restore()
    bed.source.answers.clear()
    assert not await asyncio.wait_for(bed.checkpointer.checkpoint(), 30)
    assert b'checkpoints_total{result="failed"} 1.0' in bed.metrics.exposition()
    bed.source.answers.set()
    assert await bed.checkpointer.checkpoint()


async def test_a_snapshot_that_is_too_large_is_a_failed_checkpoint() -> None:
    """The agent serves on; the position stays where it is until the windows fit."""
    bed = detection()
    await bed.restore()
    await bed.take(LINES[:3])
    bed.store.refuse_write = SnapshotTooLarge("snapshot must be small")
    assert not await bed.checkpointer.checkpoint()
    assert bed.source.commits == []
    bed.store.refuse_write = None
    assert await bed.checkpointer.checkpoint()
    assert bed.source.found.committed == 3


async def test_a_checkpoint_that_release_cancels_ends_nothing_else() -> None:
    """The loop that makes checkpoints continues after a rebalance that canceled one."""
    bed = detection()
    await bed.restore()
    await bed.take([UNREADABLE])
    bed.sink.open.clear()
    looped = asyncio.create_task(bed.checkpointer.checkpoint())
    await asyncio.sleep(0.01)
    await bed.checkpointer.release(0.05)
    assert not await looped


async def test_windows_are_closed_by_the_clock_only_when_all_is_processed() -> None:
    """The clock closes windows once nothing came for the idle time and the partition is read to its end."""
    bed = detection()
    await bed.restore()
    await bed.take(LINES)
    at_the_end = FetchProgress(10, 10, 1)
    assert not bed.partition.silent(at_the_end)
    bed.clock.advance(60)
    assert bed.partition.silent(at_the_end)
    assert not bed.partition.silent(FetchProgress(10, 12, 1)), "more lines are in the log"
    assert not bed.partition.silent(FetchProgress(12, 12, 2)), "a fetched batch is not processed"
    await bed.partition.close_idle()
    assert not bed.partition.silent(at_the_end), "no window is open"


async def test_nothing_is_committed_after_a_rebalance() -> None:
    """Once the group has another generation, a checkpoint of the old assignment fails."""
    bed = detection()
    await bed.restore()
    await bed.take(LINES[:5])
    bed.source.generation += 1
    assert not await bed.checkpointer.checkpoint()
    assert bed.source.commits == []


def during_the_write(bed: Bed, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[None]]) -> None:
    """Have something happen while the next snapshots are written."""
    write = bed.store.write

    async def writing(*arguments: Any) -> Stored:
        stored = await write(*arguments)
        await happens()
        return stored

    monkeypatch.setattr(bed.store, "write", writing)


async def test_lines_that_come_during_a_checkpoint_are_in_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint covers what was there when it was captured: a batch taken meanwhile leaves the partition dirty."""
    bed = detection()
    await bed.restore()
    await bed.take(LINES[:3])
    with monkeypatch.context() as patched:
        during_the_write(bed, patched, lambda: bed.take(LINES[3:6]))
        assert await bed.checkpointer.checkpoint()
    assert bed.source.found.committed == 3
    assert bed.partition.dirty
    assert await bed.checkpointer.checkpoint()
    assert bed.source.found.committed == 6


async def test_a_partition_given_up_during_a_checkpoint_is_not_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error its state may be wrong, whatever was captured before."""
    bed = detection()
    await bed.restore()
    await bed.take(LINES[:3])

    async def give_up() -> None:
        bed.checkpointer.abandon()

    during_the_write(bed, monkeypatch, give_up)
    assert not await bed.checkpointer.checkpoint()
    assert bed.source.commits == []
