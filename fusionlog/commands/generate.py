"""`fusionlog generate`: the demo's target as a process that writes logs, for trying things out on a real Kafka."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Annotated, Any

import structlog
import typer
from confluent_kafka import Message, Producer

from broker.errors import BrokerError
from fusionlog.commands.options import BootstrapServers, Config, TopicPrefix, connection
from fusionlog.demo.generator import GeneratedLine, shifts
from fusionlog.demo.generator import generate as generate_all
from fusionlog.render.console import emit
from fusionlog.settings.logs import configure_logs
from fusionlog.signals import interrupted_by

LINES_PER_SESSION = 17.0
FLUSH_SECONDS = 30.0
_REPORT_SECONDS = 10.0


def generate(
    topic: Annotated[str, typer.Option(help="Raw topic to write to; created when missing.")] = "raw.media",
    config: Config = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Which system, failures and lines.")] = 1,
    rate: Annotated[float, typer.Option(min=0.1, max=20_000, help="Lines a second, about.")] = 50.0,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many lines.")] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Write the past that training needs, all at once, and stop.")
    ] = False,
    partitions: Annotated[int, typer.Option(min=1, max=1000, help="Partitions of a topic that is created.")] = 4,
    create_topics: Annotated[bool, typer.Option(help="Create the topic, and fusionlog's own, when missing.")] = True,
) -> int:
    """Write a generated media service's logs to a topic, failures among them, until stopped.

    Live lines carry the time of day and come at their time; those of --history come at once and lie in the past.

    Example: fusionlog generate --bootstrap-servers localhost:9092 --topic raw.media --rate 100
    """
    from broker.admin import ensure_topics

    kafka, topics = connection(config, bootstrap_servers, topic_prefix)
    configure_logs()
    if create_topics:
        ensure_topics(kafka, topics, raw={topic: partitions}, raw_config={"retention.ms": "-1"} if history else None)
    lines: Iterable[GeneratedLine] = generate_all(seed).history if history else _in_time(seed, rate)
    producer = Producer(kafka.librdkafka() | {"enable.idempotence": True, "linger.ms": 20})
    sent = _send(producer, topic, islice(lines, count))
    emit(f"wrote {sent:,} lines to {topic}")
    return 0


def _in_time(seed: int, lines_per_second: float) -> Iterator[GeneratedLine]:
    """Live lines from now on, each at its time."""
    now_ms = time.time_ns() // 1_000_000
    for line in shifts(seed, 60 * lines_per_second / LINES_PER_SESSION, now_ms):
        wait_seconds = line.time_ms / 1000 - time.time()
        if wait_seconds > 0:
            time.sleep(wait_seconds)
        yield line


def _send(producer: Producer, topic: str, lines: Iterable[GeneratedLine]) -> int:
    """Produce lines until they end or the command is interrupted; how many. A session's lines go to one partition.

    Raises:
        BrokerError: a line was not acknowledged.
    """
    failures: list[str] = []

    def delivered(error: Any, _: Message) -> None:
        if error is not None:
            failures.append(f"line must reach {topic}, got {error.str()}")

    sent, report_at = 0, time.monotonic() + _REPORT_SECONDS
    try:
        with contextlib.suppress(KeyboardInterrupt), interrupted_by((signal.SIGTERM,)):  # the usual end
            for line in lines:
                _produce(producer, topic, line, delivered)
                if failures:
                    break
                sent += 1
                if time.monotonic() >= report_at:
                    report_at = time.monotonic() + _REPORT_SECONDS
                    structlog.get_logger(__name__).info("lines written", topic=topic, lines=sent)
    finally:
        left = producer.flush(FLUSH_SECONDS)
    if failures or left:
        raise BrokerError(failures[-1] if failures else f"every line must reach {topic}, got {left} that did not")
    return sent


def _produce(producer: Producer, topic: str, line: GeneratedLine, delivered: Callable[[Any, Message], None]) -> None:
    """Hand a line to the producer, as soon as it has room, and let it report what was delivered meanwhile."""
    while True:
        try:
            producer.produce(topic, line.text.encode(), line.key.encode() or None, on_delivery=delivered)
            break
        except BufferError:
            producer.poll(0.5)
    producer.poll(0)
