"""`fusionlog generate`: the demo's target as a process that writes logs, for trying things out on a real Kafka."""

import signal
import time
from collections.abc import Iterable, Iterator
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
    sender = _Sender(Producer(kafka.librdkafka() | {"enable.idempotence": True, "linger.ms": 20}), topic)
    try:
        with interrupted_by((signal.SIGTERM,)):
            for line in islice(lines, count):
                sender.send(line)
    except KeyboardInterrupt:
        pass  # the usual end
    finally:
        sender.finish()
    emit(f"wrote {sender.sent:,} lines to {topic}")
    return 0


def _in_time(seed: int, lines_per_second: float) -> Iterator[GeneratedLine]:
    """Live lines from now on, each at its time."""
    now_ms = time.time_ns() // 1_000_000
    for line in shifts(seed, 60 * lines_per_second / LINES_PER_SESSION, now_ms):
        wait_seconds = line.time_ms / 1000 - time.time()
        if wait_seconds > 0:
            time.sleep(wait_seconds)
        yield line


class _Sender:
    """Produces lines; the lines of a session go to one partition."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self.sent = 0
        self._producer, self._topic = producer, topic
        self._failure = ""
        self._report_at = time.monotonic() + _REPORT_SECONDS

    def send(self, line: GeneratedLine) -> None:
        """Produce one line.

        Raises:
            BrokerError: an earlier line was not acknowledged.
        """
        value, key = line.text.encode(), line.key.encode() or None
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(0.5)
        self._producer.poll(0)
        if self._failure:
            raise BrokerError(self._failure)
        self.sent += 1
        if time.monotonic() >= self._report_at:
            self._report_at = time.monotonic() + _REPORT_SECONDS
            structlog.get_logger(__name__).info("lines written", topic=self._topic, lines=self.sent)

    def finish(self) -> None:
        """Wait until all lines are acknowledged.

        Raises:
            BrokerError: a line was not.
        """
        left = self._producer.flush(FLUSH_SECONDS)
        if self._failure or left:
            raise BrokerError(self._failure or f"every line must reach {self._topic}, got {left} that did not")

    def _delivered(self, error: Any, _: Message) -> None:
        if error is not None:
            self._failure = f"line must reach {self._topic}, got {error.str()}"
