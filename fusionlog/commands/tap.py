"""`fusionlog tap`: what comes out, readably: alerts, closed windows, late lines, dead letters."""

import enum
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Annotated, Any

import typer
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Message, TopicPartition
from rich.console import Console, RenderableType
from rich.text import Text

from broker.errors import BrokerError
from broker.settings import KafkaSettings
from broker.topic_reader import partitions_of
from fusionlog.commands.options import AsJson, BootstrapServers, Config, TopicPrefix, connection
from fusionlog.render.alerts import alert_block, print_lines, printable
from fusionlog.render.console import emit_json, note
from schemas.alert import Alert
from schemas.closed_window import ClosedWindow
from schemas.codec import decode
from schemas.dead_letter import DeadLetter
from schemas.errors import RecordError
from schemas.late_line import LateLine

app = typer.Typer(no_args_is_help=True)

REQUEST_SECONDS = 10.0
_POLL_SECONDS = 0.2
_SHOWN_BYTES = 200


class Start(enum.StrEnum):
    """Where to begin."""

    EARLIEST = "earliest"
    LATEST = "latest"


From = Annotated[Start, typer.Option("--from", help="Begin with the oldest record, or with what comes from now on.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")]
UntilEnd = Annotated[
    bool, typer.Option("--until-end", help="Stop at the end of the topic instead of waiting for more.")
]


@app.callback()
def group() -> None:
    """Print what fusionlog writes to its topics, until Ctrl-C.

    Example: fusionlog tap alerts --bootstrap-servers localhost:9092
    """


@app.command("alerts")
def alerts(
    config: Config = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    start: From = Start.EARLIEST,
    limit: Limit = None,
    until_end: UntilEnd = False,
    as_json: AsJson = False,
) -> int:
    """Print alerts with their explanation.

    Example: fusionlog tap alerts --bootstrap-servers localhost:9092 --from latest
    """
    kafka, topics = connection(config, bootstrap_servers, topic_prefix)
    return _tap(_Tap(kafka, topics.alerts, start, limit, until_end), as_json, _alert)


@app.command("windows")
def windows(
    config: Config = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    start: From = Start.EARLIEST,
    limit: Limit = None,
    until_end: UntilEnd = False,
    as_json: AsJson = False,
) -> int:
    """Print closed windows with their score.

    Example: fusionlog tap windows --topic-prefix staging --limit 20
    """
    kafka, topics = connection(config, bootstrap_servers, topic_prefix)
    return _tap(_Tap(kafka, topics.windows, start, limit, until_end), as_json, _window)


@app.command("late")
def late(
    config: Config = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    start: From = Start.EARLIEST,
    limit: Limit = None,
    until_end: UntilEnd = False,
    as_json: AsJson = False,
) -> int:
    """Print lines that came after their window had been emitted.

    Example: fusionlog tap late --until-end
    """
    kafka, topics = connection(config, bootstrap_servers, topic_prefix)
    return _tap(_Tap(kafka, topics.late, start, limit, until_end), as_json, _late)


@app.command("dlq")
def dlq(
    config: Config = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    start: From = Start.EARLIEST,
    limit: Limit = None,
    until_end: UntilEnd = False,
    as_json: AsJson = False,
) -> int:
    """Print dead letters: records that could not be read, and why.

    Example: fusionlog tap dlq --until-end --json
    """
    kafka, topics = connection(config, bootstrap_servers, topic_prefix)
    return _tap(_Tap(kafka, topics.dlq, start, limit, until_end), as_json, _dead_letter)


Shown = tuple[Any, RenderableType]
"""A record as a document and as text."""


def _alert(message: Message) -> Shown:
    payload = message.value() or b""
    return json.loads(payload), alert_block(decode(payload, Alert))


def _window(message: Message) -> Shown:
    payload = message.value() or b""
    window = decode(payload, ClosedWindow)
    line = Text("! " if window.anomalous else "  ", style="bold red").append(f"{window.score:.3f}", style="bold")
    line.append(f"  {window.system}  {printable(window.key)}", style="cyan")
    line.append(
        f"  {len(window.offsets)} lines, closed by {window.closed_by}, model {window.model.version}", style="dim"
    )
    return json.loads(payload), line.append(f"  {window.id}", style="dim")


def _late(message: Message) -> Shown:
    payload = message.value() or b""
    line = decode(payload, LateLine)
    behind = (line.watermark_ms - line.event_time_ms) / 1000
    text = Text(f"{line.system}  {printable(line.key)}", style="cyan").append(f"  {behind:.1f} s late", style="bold")
    text.append(f"  {line.topic}/{line.partition}/{line.offset}", style="dim")
    return json.loads(payload), text.append(f"  {printable(line.text)}")


def _dead_letter(message: Message) -> Shown:
    letter = DeadLetter.from_headers([(name, value or b"") for name, value in message.headers() or []])
    raw = (message.value() or b"")[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
    place = f"{letter.topic}/{letter.partition}/{letter.offset}"
    text = Text(letter.reason, style="bold red").append(f"  {place}", style="dim")
    text.append(f"  {printable(letter.message)}").append(f"\n    {printable(raw)}", style="dim")
    return {"reason": letter.reason, "message": letter.message, "place": place, "value": raw}, text


class _Tap:
    """Records of a topic, each once, in the order in which they come."""

    def __init__(self, kafka: KafkaSettings, topic: str, start: Start, limit: int | None, until_end: bool) -> None:
        self._kafka, self.topic = kafka, topic
        self._start, self._limit, self._until_end = start, limit, until_end
        self._consumer = Consumer(
            kafka.librdkafka()
            # A group's name is needed for asking; nothing is ever committed.
            | {"group.id": f"{kafka.client_id}-tap", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        )

    @property
    def awaits(self) -> str:
        """What it waits for, for a person before an empty screen."""
        servers = self._kafka.bootstrap_servers
        if self._until_end:
            return f"records of {self.topic} on {servers}, up to its end"
        which = "records" if self._start is Start.EARLIEST else "records from now on"
        return f"waiting for {which} of {self.topic} on {servers}, until Ctrl-C"

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def records(self) -> Iterator[Message]:
        """The records.

        Raises:
            BrokerError: the broker does not answer, or the topic is not there.
        """
        left = self._ends()
        offset = OFFSET_BEGINNING if self._start is Start.EARLIEST else OFFSET_END
        partitions = range(partitions_of(self._consumer, self._kafka, self.topic, REQUEST_SECONDS))
        self._consumer.assign([TopicPartition(self.topic, partition, offset) for partition in partitions])
        shown = 0
        while left or not self._until_end:
            message = self._consumer.poll(_POLL_SECONDS)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                raise BrokerError(f"topic {self.topic!r} must be readable, got {error.str()}")
            yield message
            shown += 1
            if shown == self._limit:
                return
            if (message.offset() or 0) + 1 >= left.get(message.partition() or 0, 0):
                left.pop(message.partition() or 0, None)

    def _ends(self) -> dict[int, int]:
        """End offset of each partition that has something to read."""
        if self._start is Start.LATEST:
            return {}
        try:
            found = {
                partition: self._consumer.get_watermark_offsets(
                    TopicPartition(self.topic, partition), timeout=REQUEST_SECONDS
                )
                for partition in range(partitions_of(self._consumer, self._kafka, self.topic, REQUEST_SECONDS))
            }
        except KafkaException as error:
            raise BrokerError(f"topic {self.topic!r} must be readable, got {error.args[0].str()}") from error
        return {partition: high for partition, (low, high) in found.items() if high > low}


def _tap(tap: _Tap, as_json: bool, show: Callable[[Message], Shown]) -> int:
    console = Console(highlight=False)
    note(tap.awaits)
    with closing(tap):
        try:
            for message in tap.records():
                try:
                    document, text = show(message)
                except (RecordError, ValueError) as error:
                    Console(stderr=True).print(f"offset {message.offset()} cannot be read: {error}", style="yellow")
                    continue
                if as_json:
                    emit_json(document)
                else:
                    print_lines(console, text)
        except KeyboardInterrupt:
            return 0
    return 0
