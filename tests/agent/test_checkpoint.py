"""Checkpoints: position, snapshot and acknowledged output move together or not at all."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

import agent.runtime.checkpoint
from agent.errors import BatchLost, LostState, PositionLost, SnapshotTooLarge
from agent.metrics import Metrics
from agent.models.serving import BaselineServing
from agent.runtime.checkpoint import Checkpointer
from agent.runtime.snapshot_store import Stored
from agent.runtime.transport import Batch, Fetched, Place
from agent.settings import AgentSettings
from agent.stages.detect import InputRecord, SystemPipeline
from detector.testing import SYSTEM
from schemas.snapshot import SnapshotName

NAME = TP("raw", 0)
LINES = [InputRecord(at, f"order={at % 3} received from 10.0.0.7".encode(), 1_700_000_000_000) for at in range(10)]


class _FakeThread:
    """A consumer thread over one partition."""

    def __init__(self) -> None:
        self.place = Place(None, "", 0, 100)
        self.fetched = Fetched(0, 100, 0)
        self.committed: list[dict[Any, tuple[int, str]]] = []
        self.refuse: Exception | None = None
        self.epoch = 0
        self.generation = 7

    async def places(self, names: list[Any]) -> dict[Any, Place]:
        return dict.fromkeys(names, self.place)

    async def seek_all(self, positions: dict[Any, int]) -> tuple[int, dict[Any, int]]:
        self.epoch += 1
        self.sought = positions
        return self.generation, dict.fromkeys(positions, self.epoch)

    async def progress(self, names: list[Any]) -> dict[Any, Fetched]:
        return dict.fromkeys(names, self.fetched)

    async def commit_named(self, commits: dict[Any, tuple[int, str]], generation: int) -> None:
        assert generation == self.generation
        if self.refuse is not None:
            raise self.refuse
        self.committed.append(commits)
        ((position, metadata),) = commits.values()
        self.place = Place(position, metadata, self.place.beginning, self.place.end)


class _FakeStore:
    """Snapshots in memory; remembers what is tombstoned."""

    def __init__(self) -> None:
        self.bodies: dict[int, bytes] = {}
        self.forgotten: list[bytes] = []

    async def write(self, _topic: str, _partition: int, body: bytes, generation: int, keys: list[bytes]) -> Stored:
        offset = len(self.bodies)
        keys.append(b"%d" % offset)
        self.bodies[offset] = body
        return Stored(SnapshotName(offset, offset, "0" * 64, generation), (b"%d" % offset,))

    async def read(self, _topic: str, _partition: int, name: SnapshotName) -> tuple[Stored, bytes]:
        if name.base not in self.bodies:
            raise LostState("snapshot must be there")
        return Stored(name, (b"%d" % name.base,)), self.bodies[name.base]

    def forget(self, _partition: int, keys: list[bytes]) -> None:
        self.forgotten += keys


class _FakeSink:
    """Output that is acknowledged once `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.sent: list[Any] = []

    def send(self, records: list[Any]) -> asyncio.Task[list[Any]]:
        self.sent += records

        async def deliver() -> list[Any]:
            await self.open.wait()
            return []

        return asyncio.create_task(deliver())


class _Rig:
    """A checkpointer over fakes."""

    def __init__(self, **changes: Any) -> None:
        settings = AgentSettings(systems=[{"topics": ["raw"], "spec": SYSTEM}], **changes)
        self.thread, self.store, self.sink = _FakeThread(), _FakeStore(), _FakeSink()

        async def run(function: Any, *arguments: Any) -> Any:
            return function(*arguments)

        system = SystemPipeline(SYSTEM, BaselineServing("orders"))
        store: Any = self.store
        sink: Any = self.sink
        self.checkpointer = Checkpointer(settings, {"raw": system}, store, sink, Metrics(), run)

    async def restore(self) -> None:
        thread: Any = self.thread
        await self.checkpointer.restore(thread, [NAME])

    async def take(self, records: list[InputRecord], serial: int = 1) -> None:
        await self.checkpointer.partitions[NAME].take(Batch(self.thread.epoch, serial, records))
        self.thread.fetched = Fetched(records[-1].offset + 1, 100, serial)


async def test_a_restart_goes_on_from_position_and_snapshot() -> None:
    """What is committed names a snapshot; restored from it, windows go on as if nothing had been."""
    rig = _Rig()
    await rig.restore()
    await rig.take(LINES[:5])
    assert await rig.checkpointer.checkpoint()
    assert rig.thread.committed[-1][NAME][0] == 5
    await rig.restore()
    partition = rig.checkpointer.partitions[NAME]
    assert rig.thread.sought == {NAME: 5}
    assert (partition.pipeline.position, partition.pipeline.open_windows) == (5, 3)
    await rig.take(LINES[5:])
    assert [window.offsets for window in partition.pipeline.flush().windows] == [(0, 3, 6, 9), (1, 4, 7), (2, 5, 8)]


async def test_the_first_checkpoint_of_a_fresh_group_commits_its_start() -> None:
    """`start: latest` is made fast at once: a crash before the first line must not skip what came meanwhile."""
    rig = _Rig(start="latest")
    await rig.restore()
    assert await rig.checkpointer.checkpoint()
    assert rig.thread.committed[-1][NAME][0] == 100
    rig.thread.place = Place(100, rig.thread.place.metadata, 0, 200)
    await rig.restore()
    assert rig.thread.sought == {NAME: 100}


async def test_nothing_is_committed_before_its_output_is_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that the broker does not take holds the position back; once it does, the position follows."""
    monkeypatch.setattr(agent.runtime.checkpoint, "ACKNOWLEDGE_SECONDS", 0.05)
    rig = _Rig()
    await rig.restore()
    rig.sink.open.clear()
    await rig.take([InputRecord(0, b"\xff", 1)])
    assert rig.sink.sent
    assert not await rig.checkpointer.checkpoint()
    assert rig.thread.committed == []
    rig.sink.open.set()
    assert await rig.checkpointer.checkpoint()
    assert rig.thread.committed[-1][NAME][0] == 1


async def test_a_failed_commit_is_tried_again_and_its_snapshot_cleaned_up() -> None:
    """A refused commit leaves the old name valid; after the next success both older snapshots are tombstoned."""
    rig = _Rig()
    await rig.restore()
    await rig.take(LINES[:3])
    assert await rig.checkpointer.checkpoint()
    await rig.take(LINES[3:6], serial=2)
    rig.thread.refuse = KafkaError("not now")
    assert not await rig.checkpointer.checkpoint()
    assert (rig.thread.place.committed, rig.store.forgotten) == (3, [])
    rig.thread.refuse = None
    assert await rig.checkpointer.checkpoint()
    assert rig.thread.place.committed == 6
    assert sorted(rig.store.forgotten) == [b"0", b"1"]


async def test_an_unchanged_partition_writes_nothing() -> None:
    """Without new lines there is no snapshot and no commit."""
    rig = _Rig()
    await rig.restore()
    assert await rig.checkpointer.checkpoint()
    assert await rig.checkpointer.checkpoint()
    assert len(rig.thread.committed) == len(rig.store.bodies) == 1


async def test_the_position_passes_transaction_markers_only_when_all_is_processed() -> None:
    """Offsets without a record at the end are passed once the last fetched batch is processed, and not before."""
    rig = _Rig()
    await rig.restore()
    await rig.take(LINES[:5])
    rig.thread.fetched = Fetched(9, 9, 2)
    await rig.checkpointer.checkpoint()
    assert rig.thread.place.committed == 5
    await rig.take(LINES[5:6], serial=2)
    rig.thread.fetched = Fetched(9, 9, 2)
    await rig.checkpointer.checkpoint()
    assert rig.thread.place.committed == 9


@pytest.mark.parametrize(
    "place",
    [
        Place(5, "", 0, 100),
        Place(5, "v1;base=3;last=3;sha=" + "0" * 64 + ";gen=1", 0, 100),
        Place(500, "v1;base=0;last=0;sha=" + "0" * 64 + ";gen=1", 0, 100),
    ],
    ids=["no name", "no snapshot", "beyond the end"],
)
async def test_lost_state_stops_or_restarts_as_told(place: Place) -> None:
    """Without its snapshot a position is an error that says what to set; with it set, windows start again there."""
    rig = _Rig()
    rig.thread.place = place
    with pytest.raises(LostState, match="on_lost_state: restart_windows"):
        await rig.restore()
    assert rig.checkpointer.partitions == {}
    told = _Rig(on_lost_state="restart_windows")
    told.thread.place = place
    await told.restore()
    assert told.thread.sought == {NAME: 5 if place.committed == 5 else 0}


async def test_lines_that_retention_deleted_are_skipped_and_counted() -> None:
    """A position before the log's beginning moves there, and the metric says how much is missing."""
    rig = _Rig()
    await rig.restore()
    await rig.take(LINES[:5])
    await rig.checkpointer.checkpoint()
    rig.thread.place = Place(5, rig.thread.place.metadata, 8, 100)
    await rig.restore()
    assert rig.thread.sought == {NAME: 8}
    assert b'offsets_lost_total{system="orders"} 3.0' in rig.checkpointer._metrics.exposition()


async def test_a_batch_of_an_older_epoch_is_ignored_and_a_gap_is_an_error() -> None:
    """What was fetched before a seek is dropped; a batch that never arrived ends the agent."""
    rig = _Rig()
    await rig.restore()
    partition = rig.checkpointer.partitions[NAME]
    await partition.take(Batch(rig.thread.epoch - 1, 1, LINES[:5]))
    assert partition.pipeline.position == 0
    await partition.take(Batch(rig.thread.epoch, 1, LINES[:2]))
    with pytest.raises(BatchLost):
        await partition.take(Batch(rig.thread.epoch, 3, LINES[4:6]))
    assert partition.pipeline.position == 2


async def test_a_batch_below_the_position_is_an_error() -> None:
    """Within an epoch offsets rise; one that falls is of another log, and skipping it would lose its lines."""
    rig = _Rig()
    await rig.restore()
    await rig.take(LINES[5:8])
    with pytest.raises(PositionLost, match="raw/0 must be at 8 or later, got 2"):
        await rig.take(LINES[2:4], serial=2)
    assert rig.checkpointer.partitions[NAME].pipeline.position == 8


async def test_release_is_bounded_and_leaves_no_commit_behind() -> None:
    """Revoked partitions are checkpointed if that is possible in time; afterwards nothing of them can be committed."""
    rig = _Rig()
    await rig.restore()
    await rig.take([InputRecord(0, b"\xff", 1)])
    partition = rig.checkpointer.partitions[NAME]
    rig.sink.open.clear()
    await rig.checkpointer.release(0.05)
    rig.sink.open.set()
    await asyncio.sleep(0.05)
    assert (rig.thread.committed, rig.checkpointer.partitions, partition.alive) == ([], {}, False)
    await partition.take(Batch(rig.thread.epoch, 2, LINES[1:2]))
    assert partition.pipeline.position == 1


async def test_a_consumer_that_does_not_answer_is_a_failed_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer loop that hangs holds no checkpoint for ever; once it answers, the next one is made."""
    monkeypatch.setattr(agent.runtime.checkpoint, "PROGRESS_SECONDS", 0.05)
    rig = _Rig()
    await rig.restore()
    answers = asyncio.Event()
    progress = rig.thread.progress

    async def hang(names: list[Any]) -> dict[Any, Fetched]:
        await answers.wait()
        return await progress(names)

    monkeypatch.setattr(rig.thread, "progress", hang)
    assert not await asyncio.wait_for(rig.checkpointer.checkpoint(), 30)
    assert b'checkpoints_total{result="failed"} 1.0' in rig.checkpointer._metrics.exposition()
    answers.set()
    assert await rig.checkpointer.checkpoint()


async def test_a_snapshot_that_is_too_large_is_a_failed_checkpoint() -> None:
    """The agent serves on; the position stays where it is until the windows fit."""
    rig = _Rig()
    await rig.restore()
    await rig.take(LINES[:3])
    write = rig.store.write

    async def refuse(*_: Any) -> Stored:
        raise SnapshotTooLarge("snapshot must be small")

    rig.store.write = refuse  # type: ignore[method-assign]
    assert not await rig.checkpointer.checkpoint()
    assert rig.thread.committed == []
    rig.store.write = write  # type: ignore[method-assign]
    assert await rig.checkpointer.checkpoint()
    assert rig.thread.place.committed == 3


async def test_a_checkpoint_that_release_cancels_ends_nothing_else() -> None:
    """The loop that makes a checkpoint now and then goes on after a rebalance that cut one short."""
    rig = _Rig()
    await rig.restore()
    await rig.take([InputRecord(0, b"\xff", 1)])
    rig.sink.open.clear()
    looped = asyncio.create_task(rig.checkpointer.checkpoint())
    await asyncio.sleep(0.01)
    await rig.checkpointer.release(0.05)
    assert not await looped
