"""What the agent does with records it cannot read, on real input paths."""

import asyncio
import hashlib
import random
import struct
import uuid
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Producer

from detector.testing import NORMAL_LINES, tiny_files
from schemas.dead_letter import DeadLetter
from testkit.kafka_bed import AgentProcess, KafkaBed
from testkit.processes import wait_until

START_MS = 1_700_000_000_000
POISON = (b"\xff\xfe\xfa", b"", b"   ", b'{"message": ', b"{" * 5_000, b'{"other": 1}', None)


@pytest.mark.parametrize("servers", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)
def test_poison_goes_to_the_dead_letters_while_good_lines_flow(bench: KafkaBed, tmp_path: Path) -> None:
    """Every unreadable record is kept raw with the place it came from; every good line is in a window."""
    bench.publish(tiny_files(), 1)
    lines: list[tuple[int, bytes | None, int]] = []
    for number in range(200):
        lines.append((number % 2, NORMAL_LINES[number % 4].replace("17", str(number)).encode(), START_MS + number))
        lines.append((number % 2, POISON[number % len(POISON)], START_MS + number))
    lines += [(partition, b"the end", START_MS + 10_000_000) for partition in range(2)]
    bench.produce(lines)
    with AgentProcess(bench, tmp_path) as agent:
        wait_until(bench.all_committed, "everything committed")
        _, metrics = agent.get("/metrics")
        assert agent.terminate() == 0, agent.log
    raw = {(message.partition(), message.offset()): message.value() for message in bench.read(bench.raw)}
    dead = {}
    for message in bench.read(bench.topics.dlq):
        letter = DeadLetter.from_headers(message.headers())
        assert letter.topic == bench.raw
        assert (message.value() or None) == (raw[letter.partition, letter.offset] or None)
        dead[letter.partition, letter.offset] = letter.reason
    assert len(dead) == 200
    assert set(dead.values()) == {"undecodable", "empty", "bad_json", "too_deep", "no_message", "tombstone"}
    windowed = {
        (record["partition"], offset) for record in bench.records(bench.topics.windows) for offset in record["offsets"]
    }
    assert windowed | dead.keys() == {place for place, value in raw.items() if value != b"the end"}
    assert 'fusionlog_dlq_records_total{reason="bad_json",system="orders"}' in metrics


async def produce_foreign_headers(bench: KafkaBed, values: list[bytes]) -> None:
    """Write records to partition 0, each in its own batch, with a header name that is not UTF-8."""
    producer = AIOKafkaProducer(**bench.kafka.aiokafka())
    await producer.start()
    try:
        for value in values:
            batch = producer.create_batch()
            batch.append(timestamp=START_MS, key=None, value=value, headers=[("AB", b"x")])
            batch.close()
            build = batch._build

            def altered(batch: Any = batch, build: Any = build) -> bytes:
                build()
                data = bytearray(batch._buffer)
                at = data.rindex(b"AB")
                data[at : at + 2] = b"\xff\xfe"
                struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
                batch._buffer = bytes(data)
                return bytes(data)

            batch._build = altered
            await producer.send_batch(batch, bench.raw, partition=0)
        await producer.flush()
    finally:
        await producer.stop()


def test_a_header_name_that_is_not_utf8_costs_the_headers_only(bench: KafkaBed, tmp_path: Path) -> None:
    """Such records are lines like others; what was fetched of the other partition with them is not lost."""
    bench.publish(tiny_files(), 1)
    lines = [
        (number % 2, NORMAL_LINES[number % 4].replace("17", str(number)).encode(), START_MS) for number in range(40)
    ]
    bench.produce(lines[:20])
    foreign = [b"order=99 received from 10.0.0.7", b"\xff", *([b"order=98 packed"] * 30)]
    asyncio.run(produce_foreign_headers(bench, foreign))
    bench.produce([*lines[20:], *((partition, b"the end", START_MS + 10_000_000) for partition in range(2))])
    with AgentProcess(bench, tmp_path) as agent:
        wait_until(bench.all_committed, "everything committed")
        asyncio.run(produce_foreign_headers(bench, [b"the very end"]))
        wait_until(bench.all_committed, "one more committed")
        assert agent.terminate() == 0, agent.log
        assert "header name is not UTF-8" in agent.log
        assert "Traceback" not in agent.log
    windowed = sorted(
        (record["partition"], offset) for record in bench.records(bench.topics.windows) for offset in record["offsets"]
    )
    assert windowed == [(0, at) for at in range(52) if at != 11] + [(1, at) for at in range(20)]
    (message,) = bench.read(bench.topics.dlq)
    letter = DeadLetter.from_headers(message.headers())
    assert (letter.offset, letter.reason, message.value()) == (11, "undecodable", b"\xff")


@pytest.mark.kafka
def test_a_10_mb_line_is_cut_into_the_dead_letters(kafka: str, tmp_path: Path) -> None:
    """A record above every limit leaves a dead letter with its size and hash, and the lines after it are read."""
    bench = KafkaBed(kafka, uuid.uuid4().hex[:12], raw_config={"max.message.bytes": "20000000"})
    bench.publish(tiny_files(), 1)
    huge = random.Random(0).randbytes(10_000_000)
    producer = Producer(bench.kafka.librdkafka() | {"message.max.bytes": 20_000_000})
    producer.produce(bench.raw, huge, key=b"the key", partition=0, timestamp=START_MS)
    assert producer.flush(60) == 0
    bench.produce([(0, NORMAL_LINES[0].encode(), START_MS), (0, b"the end", START_MS + 10_000_000)])
    with AgentProcess(bench, tmp_path) as agent:
        wait_until(bench.all_committed, "everything committed")
        assert agent.terminate() == 0, agent.log
    (message,) = bench.read(bench.topics.dlq)
    headers = dict(message.headers())
    assert DeadLetter.from_headers(message.headers()).reason == "oversize"
    assert (message.key(), message.value()) == (b"the key", huge[: len(message.value())])
    assert headers["fusionlog.dlq.original.bytes"] == b"10000000"
    assert headers["fusionlog.dlq.original.sha256"].decode() == hashlib.sha256(huge).hexdigest()
    (window,) = bench.records(bench.topics.windows)
    assert window["offsets"] == [1]


def test_a_broker_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    """Without a broker the agent ends with exit 1 and names the address that did not answer."""

    class Nowhere(KafkaBed):
        def __init__(self) -> None:
            from broker.settings import KafkaSettings
            from schemas.topics import Topics

            self.kafka, self.topics = KafkaSettings(bootstrap_servers="127.0.0.1:1"), Topics("none")
            self.raw, self.group = "raw", "group"

    with AgentProcess(Nowhere(), tmp_path) as agent:
        assert agent.wait() == 1
        assert "127.0.0.1:1 must answer" in agent.log
        assert "Traceback" not in agent.log


@pytest.mark.kafka
def test_missing_topics_are_named(kafka: str, tmp_path: Path) -> None:
    """On a broker without our topics the agent ends with exit 1 and names the command that creates them."""
    bench = KafkaBed(kafka, uuid.uuid4().hex[:12])
    with AgentProcess(bench, tmp_path, topic_prefix="absent") as agent:
        assert agent.wait() == 1
        assert "run `fusionlog topics create`" in agent.log
