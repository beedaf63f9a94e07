"""The baseline's state is part of the detection stage's snapshot, one baseline per partition."""

from agent.models.serving import ModelServing
from agent.stages.detect import DetectionStage, SystemDetection
from agent.stages.stage import PlainRecord, TopicRole, restore_snapshot, write_snapshot
from agent.testing import Bed, records_of
from detector.testing import ANOMALOUS_LINES, NORMAL_LINES, SYSTEM, tiny_model
from schemas.closed_window import ClosedWindow
from schemas.codec import decode
from schemas.topics import Topics

WARMUP = 20
START_MS = 1_700_000_000_000


def orders(count: int = 45) -> list[PlainRecord]:
    """Orders one after the other, each later than the one before closes; after the warm-up some are anomalous."""
    records: list[PlainRecord] = []
    for order in range(count):
        lines = list(NORMAL_LINES)
        if order == 30:
            lines += ANOMALOUS_LINES
        if order == 35:
            lines *= 100
        for line in lines:
            value = line.replace("17", str(order)).encode()
            records.append(PlainRecord(len(records), value, START_MS + order * 1_000_000))
    return records


def fresh(topic: str, partition: int, position: int) -> DetectionStage:
    """A stage as a new process makes it."""
    return SystemDetection(SYSTEM, warmup_windows=WARMUP).stage(topic, partition, position)


async def windows(*kill_after: int) -> dict[str, ClosedWindow]:
    """Closed windows by id, of an agent that is killed after some batches, with one more batch that is lost."""
    bed = Bed(fresh, orders())
    await bed.restore()
    for batch in range(10_000):
        if (bed.source.fetched.position or 0) >= len(bed.source.records):
            break
        await bed.partition.take(bed.source.fetch(13))
        if batch in kill_after:
            await bed.kill()
            await bed.restore()
        else:
            assert await bed.checkpointer.checkpoint()
    found: dict[str, ClosedWindow] = {}
    for one in bed.sink.written:
        if one.topic == Topics().windows:
            window = decode(one.value or b"", ClosedWindow)
            assert found.setdefault(window.id, window) == window, "one id, two contents"
    return found


async def test_a_kill_during_the_warm_up_changes_no_score() -> None:
    """Restored at the committed position, the baseline has seen the same windows, and scores the rest the same."""
    expected = await windows()
    assert sum(window.anomalous for window in expected.values()) == 2
    assert len(expected) == 44
    for killed in ((3,), (5,), (1, 4, 8)):
        assert await windows(*killed) == expected


def test_partitions_learn_apart() -> None:
    """What one partition has seen is new to another: scores depend on the partition's own windows."""
    shared = SystemDetection(SYSTEM, warmup_windows=WARMUP)
    first, second = shared.stage("raw", 0), shared.stage("raw", 1)
    alone = SystemDetection(SYSTEM, warmup_windows=WARMUP).stage("raw", 1)
    first.process(orders())
    found, expected = (records_of(stage.process(orders()), TopicRole.WINDOWS) for stage in (second, alone))
    assert [one.score for one in found] == [one.score for one in expected]


def test_a_snapshot_holds_the_baseline_only_while_it_serves() -> None:
    """Once a model serves, its snapshots are no larger for the baseline."""
    shared = SystemDetection(SYSTEM, warmup_windows=WARMUP)
    stage = shared.stage("raw", 0)
    stage.process(orders())
    with_baseline = write_snapshot(stage)
    shared.swap(ModelServing(tiny_model()))
    assert b"warm_until" in with_baseline
    assert b"warm_until" not in write_snapshot(stage)
    again = shared.stage("raw", 0, stage.position)
    restore_snapshot(again, write_snapshot(stage))
    assert again.open_windows == stage.open_windows
