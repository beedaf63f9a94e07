"""The producer: no record is dropped, and none counts as written before it is acknowledged."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from agent.errors import OutputTooLarge
from agent.metrics import Metrics
from agent.runtime.outgoing import Outgoing, truncate
from agent.runtime.producer import Sink
from agent.timeouts import Timeouts
from broker.settings import KafkaSettings

BRIEF = Timeouts(first_retry_seconds=0.001, longest_retry_seconds=0.001, producer_stop_seconds=0.01)


class _FakeProducer:
    """Refuses with the given errors first, then takes what was sent together, unless it exceeds `limit` bytes."""

    def __init__(self, errors: list[Exception] | None = None, limit: int = 10**9) -> None:
        self.errors = errors or []
        self.limit = limit
        self.written: list[tuple[str, bytes | None]] = []
        self.stopped = False
        self._batches: dict[str, list[tuple[bytes | None, asyncio.Future[Any]]]] = {}

    async def send(self, topic: str, value: bytes | None, **_: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.errors:
            future.set_exception(self.errors.pop(0))
        else:
            self._batches.setdefault(topic, []).append((value, future))
            asyncio.get_running_loop().call_later(0.01, self._flush, topic)
        return future

    async def partitions_for(self, _topic: str) -> set[int]:
        return {0}

    def create_batch(self) -> "_FakeBatch":
        return _FakeBatch()

    async def send_batch(self, batch: "_FakeBatch", topic: str, *, partition: int) -> asyncio.Future[Any]:
        assert batch.closed
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._write(topic, [(value, future) for value in batch.values])
        return future

    async def stop(self) -> None:
        self.stopped = True

    def _flush(self, topic: str) -> None:
        self._write(topic, self._batches.pop(topic, []))

    def _write(self, topic: str, batch: list[tuple[bytes | None, asyncio.Future[Any]]]) -> None:
        fits = sum(len(value or b"") for value, _ in batch) <= self.limit
        for value, future in batch:
            if fits:
                self.written.append((topic, value))
                future.set_result(len(self.written))
            else:
                future.set_exception(MessageSizeTooLargeError())


class _FakeBatch:
    """A batch of one."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self.closed = False

    def append(self, *, value: bytes | None, **_: Any) -> None:
        self.values.append(value)

    def close(self) -> None:
        self.closed = True


class _FakeSink(Sink):
    """A sink whose producers are given."""

    def __init__(self, *producers: _FakeProducer) -> None:
        self.failures: list[BaseException] = []
        super().__init__(KafkaSettings(), Metrics(), self.failures.append, timeouts=BRIEF)
        self.left = list(producers)

    async def _connected(self) -> Any:
        return self.left.pop(0)


async def test_a_refused_record_is_written_again_by_a_new_producer() -> None:
    """After an error the producer is replaced, only what was refused is sent again, and every place is reported."""
    first, second = _FakeProducer([KafkaTimeoutError()]), _FakeProducer()
    sink = _FakeSink(first, second)
    await sink.start()
    places = await sink.send([Outgoing("a", None, b"1"), Outgoing("b", None, b"2")])
    assert (first.written, second.written) == ([("b", b"2")], [("a", b"1")])
    assert places == [1, 1]
    await sink.stop()
    assert first.stopped
    assert second.stopped


async def test_an_oversize_dead_letter_is_cut_until_it_fits() -> None:
    """The value loses its end, and only as much as must be."""
    producer = _FakeProducer(limit=50_000)
    sink = _FakeSink(producer)
    await sink.start()
    await sink.send([Outgoing("dlq", b"k", b"x" * 1_000_000, cuttable=True)])
    assert producer.written == [("dlq", b"x" * 40_000)]
    await sink.stop()


async def test_a_record_is_whole_though_its_neighbours_were_too_large() -> None:
    """Brokers limit batches: what was refused together is sent alone before anything is cut."""
    producer = _FakeProducer(limit=50_000)
    sink = _FakeSink(producer)
    await sink.start()
    letters = [b"a" * 30_000, b"b" * 30_000, b"c" * 1_000_000, b"d"]
    await sink.send([Outgoing("dlq", None, letter, cuttable=True) for letter in letters])
    await sink.send([Outgoing("windows", None, letter) for letter in letters[:2]])
    assert {value for _, value in producer.written} == {*letters[:2], letters[2][:40_000], letters[3]}
    assert len(producer.written) == 6
    assert not sink.failures
    await sink.stop()


async def test_a_record_that_can_never_be_written_is_an_error() -> None:
    """An alert is not cut; the agent gets an error with the topic and the setting to change."""
    sink = _FakeSink(_FakeProducer(limit=50_000))
    await sink.start()
    with pytest.raises(
        OutputTooLarge, match=r"'alerts' must take a record of 60001 bytes.*raise its max\.message\.bytes"
    ):
        await sink.send([Outgoing("alerts", b"k", b"x" * 60_000)])
    assert [type(error) for error in sink.failures] == [OutputTooLarge]
    await sink.stop()


async def test_a_cancelled_delivery_is_not_tried_again() -> None:
    """A record that is no longer wanted (a snapshot that took too long) leaves no task behind."""
    sink = _FakeSink(_FakeProducer([KafkaTimeoutError() for _ in range(1000)]), *(_FakeProducer() for _ in range(5)))
    sink._replace = lambda _broken: asyncio.sleep(0)  # type: ignore[method-assign,assignment]
    await sink.start()
    task = sink.send([Outgoing("state", b"k", b"v")])
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    assert not sink._deliveries
    assert not sink.failures
    await sink.stop()


def test_cutting_keeps_the_first_size_and_hash() -> None:
    """Cut to nothing, a dead letter keeps our headers, with the original's size and hash, and no foreign ones."""
    record = Outgoing(
        "dlq",
        b"k" * 10_000,
        b"y" * 1_000_000,
        (("fusionlog.huge", b"h"), ("fusionlog.dlq.cut", b"no"), ("fusionlog.dlq.error.class", b"r")),
        cuttable=True,
        foreign_headers=2,
    )
    once = truncate(record)
    sizes = [len(once.value or b"")]
    while sizes[-1]:
        once = truncate(once)
        sizes.append(len(once.value or b""))
    assert sizes == [900_000, 200_000, 40_000, 4_000, 0]
    headers = dict(once.headers)
    assert headers["fusionlog.dlq.original.bytes"] == b"1000000"
    assert headers["fusionlog.dlq.cut"] == b"true"
    assert "fusionlog.huge" not in headers, "a record's own headers may be what is too large"
    assert len(once.key or b"") < 10_000
    with pytest.raises(OutputTooLarge):
        truncate(once)


async def test_a_broker_that_does_not_answer_is_named() -> None:
    """Starting without a broker is an error that names its address."""
    from broker.errors import BrokerError

    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1 must answer"):
        await Sink(KafkaSettings(bootstrap_servers="127.0.0.1:1"), Metrics()).start()
