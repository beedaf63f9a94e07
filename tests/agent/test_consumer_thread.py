"""The consumer thread's own decisions, on a consumer that is a fake."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from agent.errors import StaleGeneration, UnreadableRecord
from agent.runtime.consumer_thread import BatchThread


class FakeConsumer:
    """A consumer of one generation that notes what is committed."""

    def __init__(self) -> None:
        self._coordinator = SimpleNamespace(generation=7)
        self._fetcher = SimpleNamespace(_records={})
        self.commits: list[Any] = []

    async def commit(self, offsets: Any) -> None:
        """Note a commit."""
        self.commits.append(offsets)

    def assignment(self) -> set[Any]:
        """No partition."""
        return set()


async def test_a_commit_of_an_older_generation_is_refused() -> None:
    """The coordinator may not know yet that the group has rebalanced: aiokafka itself would commit."""
    consumer = FakeConsumer()
    thread: Any = SimpleNamespace(_ensure_consumer=lambda: consumer)
    commit: Any = BatchThread.commit_named.__wrapped__  # type: ignore[attr-defined]  # without the hop to its loop
    with pytest.raises(StaleGeneration, match="generation must be 6, got 7"):
        await commit(thread, {TP("raw", 0): (5, "name")}, 6)
    assert consumer.commits == []
    await commit(thread, {TP("raw", 0): (5, "name")}, 7)
    ((offsets),) = consumer.commits
    assert [(at.offset, at.metadata) for at in offsets.values()] == [(5, "name")]


async def test_a_header_name_that_is_not_utf8_leads_to_the_plain_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """What aiokafka raises for it ends no agent where the record can be found, and is a clear error where it cannot."""

    async def fetch(*_: Any) -> Any:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", fetch)
    thread = BatchThread.__new__(BatchThread)
    thread._serials, thread._positions = {}, {}
    thread.consumer = SimpleNamespace(flow_active=False)
    assert await thread._fetch_records(FakeConsumer(), set()) == {}
    thread.consumer.flow_active = True
    with pytest.raises(UnreadableRecord, match="must have header names in UTF-8"):
        await thread._fetch_records(FakeConsumer(), set())
