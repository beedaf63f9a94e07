"""The sink: nothing is given up, nothing that is not acknowledged counts as written."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from agent.metrics import Metrics
from agent.pipeline import InputRecord, Output, Rejected
from agent.sinks import NULL_VALUE, Outgoing, Sink, encode_output, shorter
from broker.settings import KafkaSettings
from schemas.dead_letter import DeadLetter
from schemas.topics import Topics


class _FakeProducer:
    """Refuses with the given errors first, then acknowledges, unless `limit` bytes are exceeded."""

    def __init__(self, errors: list[Exception] | None = None, limit: int = 10**9) -> None:
        self.errors = errors or []
        self.limit = limit
        self.written: list[tuple[str, bytes | None]] = []
        self.stopped = False

    async def send(self, topic: str, value: bytes | None, **_: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.errors:
            future.set_exception(self.errors.pop(0))
        elif len(value or b"") > self.limit:
            future.set_exception(MessageSizeTooLargeError())
        else:
            self.written.append((topic, value))
            future.set_result(len(self.written))
        return future

    async def stop(self) -> None:
        self.stopped = True


class _FakeSink(Sink):
    """A sink whose producers are given."""

    def __init__(self, *producers: _FakeProducer) -> None:
        super().__init__(KafkaSettings(), Metrics())
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
    """The value loses its end; headers keep its size and hash; other records are never cut."""
    producer = _FakeProducer(limit=50_000)
    sink = _FakeSink(producer)
    await sink.start()
    await sink.send([Outgoing("dlq", b"k", b"x" * 1_000_000, cuttable=True)])
    assert producer.written == [("dlq", b"x" * 40_000)]
    stuck = sink.send([Outgoing("alerts", b"k", b"x" * 60_000)])
    await asyncio.sleep(0.5)
    assert not stuck.done()
    await sink.stop(timeout_seconds=0)


def test_cutting_keeps_the_first_size_and_hash() -> None:
    """Cut twice, the headers still tell of the original."""
    record = Outgoing(
        "dlq", b"k", b"y" * 1_000_000, (("own", b"h"), ("fusionlog.dlq.error.class", b"r")), cuttable=True
    )
    once = shorter(record)
    sizes = [len(once.value or b"")]
    while sizes[-1]:
        once = shorter(once)
        sizes.append(len(once.value or b""))
    assert sizes == [900_000, 200_000, 40_000, 4_000, 0]
    headers = dict(once.headers)
    assert headers["fusionlog.dlq.original.bytes"] == b"1000000"
    assert "own" not in headers, "a record's own headers may be what is too large"


def test_a_record_without_key_and_value_has_a_dead_letter() -> None:
    """Kafka takes no record without both, so an empty value stands for the absent one and a header says so."""
    record = InputRecord(1, None)
    letter = DeadLetter("tombstone", "no value", "raw", 0, 1, 0, "0")
    output = Output(rejected=[Rejected(letter, record.key, record.value, record.headers)])
    (outgoing,) = encode_output(output, Topics("t"))
    assert (outgoing.topic, outgoing.key, outgoing.value) == ("t.dlq.v1", None, b"")
    assert dict(outgoing.headers)[NULL_VALUE] == b"true"
    assert DeadLetter.from_headers(list(outgoing.headers)) == letter


async def test_a_broker_that_is_not_there_is_said() -> None:
    """Starting without a broker is an error that names its address."""
    from broker.errors import BrokerError

    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1 must answer"):
        await Sink(KafkaSettings(bootstrap_servers="127.0.0.1:1"), Metrics()).start()
