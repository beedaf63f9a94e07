"""A stage of any kind: its position, state and output move together, wherever the agent is killed."""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import pytest

from agent.runtime.outgoing import encode_output
from agent.stages.stage import KafkaRecord, Output, OutputRecord, PlainRecord, TopicRole
from agent.testing import Bed, Killed
from agent.timeouts import Timeouts
from detector.errors import SnapshotError
from schemas.topics import Topics

EVERY = 3
RECORDS = [PlainRecord(at, b"abc"[at * at % 3 : at * at % 3 + 1], 1) for at in range(24)]


class CountingStage:
    """A toy: counts records per value, and reports every third one."""

    name = "count"
    version = 1
    system = "orders"
    watermark_ms = None
    idle_seconds = None

    def __init__(self, topic: str, partition: int, position: int) -> None:
        del topic, partition
        self.position = position
        self.seen: Counter[str] = Counter()

    @property
    def open_windows(self) -> int:
        return sum(count % EVERY > 0 for count in self.seen.values())

    def process(self, records: Sequence[KafkaRecord]) -> Output:
        output = Output()
        for record in records:
            if record.offset < self.position:
                continue
            key = (record.value or b"").decode()
            self.seen[key] += 1
            self.position = record.offset + 1
            if self.seen[key] % EVERY == 0:
                name = f"{key}{self.seen[key]}".encode()
                output.records.append(OutputRecord(TopicRole.WINDOWS, name, b"at %d" % record.offset))
        return output

    def close_idle(self) -> Output:
        return Output()

    def snapshot(self) -> bytes:
        return msgspec.json.encode(dict(sorted(self.seen.items())))

    def restore(self, body: bytes, version: int) -> None:
        if version != self.version:
            raise SnapshotError(f"snapshot must be of version {self.version}, got {version}")
        self.seen = Counter(msgspec.json.decode(body, type=dict[str, int]))


async def finished(bed: Bed, batch: int) -> tuple[set[tuple[bytes | None, bytes | None]], int | None, bytes]:
    """What the bed has written, committed and stored once it has read everything."""
    while (bed.source.fetched.position or 0) < len(RECORDS):
        await bed.partition.take(bed.source.fetch(batch))
        assert await bed.checkpointer.checkpoint()
    stored = bed.store.bodies[max(bed.store.bodies)]
    return {(one.key, one.value) for one in bed.sink.written}, bed.source.found.committed, stored


def before_the_write(bed: Bed) -> None:
    """The snapshot is not written."""
    bed.store.refuse_write = Killed()


def before_the_commit(bed: Bed) -> None:
    """The snapshot is written, the position not committed."""
    bed.source.refuse = Killed()


def before_the_tombstones(bed: Bed) -> None:
    """The position is committed, the old snapshot not tombstoned."""
    bed.store.refuse_forget = Killed()


@pytest.mark.parametrize("fail", [before_the_write, before_the_commit, before_the_tombstones])
async def test_a_kill_at_any_step_changes_nothing_in_the_end(fail: Callable[[Bed], None]) -> None:
    """Killed at each batch and step in turn, a stage ends with the output, position and state of an unkilled run."""
    unkilled = Bed(CountingStage, RECORDS)
    await unkilled.restore()
    expected = await finished(unkilled, 5)
    assert len(expected[0]) > 3
    for killed_at in range(4):
        bed = Bed(CountingStage, RECORDS)
        await bed.restore()
        for _ in range(killed_at):
            await bed.partition.take(bed.source.fetch(5))
            assert await bed.checkpointer.checkpoint()
        await bed.partition.take(bed.source.fetch(5))
        fail(bed)
        with pytest.raises(Killed):
            await bed.checkpointer.checkpoint()
        await bed.kill()
        await bed.restore()
        assert await finished(bed, 4) == expected


async def test_output_that_a_kill_loses_is_made_again() -> None:
    """Output that was not acknowledged holds the position back, so that after a kill it is made again."""
    unkilled = Bed(CountingStage, RECORDS)
    await unkilled.restore()
    expected = await finished(unkilled, 5)
    bed = Bed(CountingStage, RECORDS, timeouts=Timeouts(acknowledge_seconds=0.01))
    await bed.restore()
    bed.sink.open.clear()
    for _ in range(3):
        await bed.partition.take(bed.source.fetch(5))
        assert not await bed.checkpointer.checkpoint()
    assert bed.source.commits == []
    await bed.kill()
    assert bed.sink.written == []
    await bed.restore()
    assert await finished(bed, 5) == expected


async def test_a_snapshot_of_another_stage_is_refused() -> None:
    """A stage put in the place of another does not read its state."""

    class RenamedStage(CountingStage):
        """The same stage under another name."""

        name = "sum"

    bed = Bed(CountingStage, RECORDS)
    await bed.restore()
    await bed.partition.take(bed.source.fetch(5))
    assert await bed.checkpointer.checkpoint()
    bed._stage = RenamedStage
    await bed.kill()
    with pytest.raises(Exception, match="must be of stage 'sum' at position 5, got 'count' at 5"):
        await bed.restore()


def test_every_role_is_one_of_our_topics() -> None:
    """A record's role leads to the topic of that name, and only a dead letter may be cut."""
    topics = Topics("t")
    found = encode_output(Output([OutputRecord(role, b"k", b"v") for role in TopicRole]), topics)
    assert [one.topic for one in found] == [getattr(topics, role.value) for role in TopicRole]
    assert {one.topic for one in found} < {spec.name for spec in topics.specs()}
    assert [one.topic for one in found if one.cuttable] == [topics.dlq]
