"""`fusionlog tap`: what comes out, readably: alerts, closed windows, late lines, dead letters."""

import enum
import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from itertools import islice
from typing import Annotated, Any

import typer
from confluent_kafka import Message
from rich.console import Console, RenderableType
from rich.text import Text

from broker.settings import KafkaSettings
from broker.topic_reader import EARLIEST, LATEST, TopicReader
from fusionlog.commands.options import AsJson, BootstrapServers, Config, TopicPrefix, connection
from fusionlog.render.alerts import alert_block, print_lines, printable
from fusionlog.render.console import emit_json, note, warn
from schemas.alert import Alert
from schemas.closed_window import ClosedWindow
from schemas.codec import decode
from schemas.dead_letter import DeadLetter
from schemas.errors import RecordError
from schemas.late_line import LateLine
from schemas.topics import Topics

app = typer.Typer(no_args_is_help=True)

REQUEST_SECONDS = 10.0
ASK_SECONDS = 5.0
"""A silent broker is asked so often whether it is there."""
_ANSWER_SECONDS = 2.0  # Ctrl-C waits for it
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


def _records(kafka: KafkaSettings, topic: str, start: Start, until_end: bool) -> Generator[Message]:
    """Records of a topic, each once, in the order in which they come.

    Raises:
        BrokerError: the broker does not answer, or the topic is absent.
    """
    with TopicReader(kafka, topic, answer_seconds=REQUEST_SECONDS) as reader:
        marks = reader.watermarks()
        reader.start(dict.fromkeys(marks, EARLIEST if start is Start.EARLIEST else LATEST))
        if until_end:
            ends = {number: end for number, (first, end) in marks.items() if end > first}
            yield from reader.read_to({} if start is Start.LATEST else ends)
            return
        yield from _follow(reader, kafka.bootstrap_servers)


def _follow(reader: TopicReader, servers: str) -> Iterator[Message]:
    """What comes, without end; says once that the broker is gone, and once that it is back."""
    away, asked = False, time.monotonic()
    while True:
        messages = reader.poll(_POLL_SECONDS)
        yield from messages
        if not messages and time.monotonic() - asked < ASK_SECONDS:
            continue
        asked = time.monotonic()
        if away == bool(messages or reader.answers(_ANSWER_SECONDS)):
            away = not away
            warn(f"Kafka at {servers} does not answer, waiting for it" if away else f"Kafka at {servers} answers again")


def _awaits(start: Start, until_end: bool, where: str) -> str:
    """What a tap waits for, for a person before an empty screen."""
    if until_end:
        return f"records of {where}, up to its end"
    which = "records" if start is Start.EARLIEST else "records from now on"
    return f"waiting for {which} of {where}, until Ctrl-C"


def _tap(records: Iterable[Message], as_json: bool, show: Callable[[Message], Shown]) -> None:
    console = Console(highlight=False)
    for message in records:
        try:
            document, text = show(message)
        except (RecordError, ValueError) as error:
            Console(stderr=True).print(f"offset {message.offset()} cannot be read: {error}", style="yellow")
            continue
        if as_json:
            emit_json(document)
        else:
            print_lines(console, text)


def _add_command(name: str, topic_of: Callable[[Topics], str], show: Callable[[Message], Shown], text: str) -> None:
    """Add `fusionlog tap <name>`; all of them take the same options."""

    def command(
        config: Config = None,
        bootstrap_servers: BootstrapServers = None,
        topic_prefix: TopicPrefix = None,
        start: From = Start.EARLIEST,
        limit: Limit = None,
        until_end: UntilEnd = False,
        as_json: AsJson = False,
    ) -> int:
        kafka, topics = connection(config, bootstrap_servers, topic_prefix)
        topic = topic_of(topics)
        note(_awaits(start, until_end, f"{topic} on {kafka.bootstrap_servers}"))
        with suppress(KeyboardInterrupt), closing(_records(kafka, topic, start, until_end)) as records:
            _tap(islice(records, limit), as_json, show)
        return 0

    app.command(name, help=text)(command)


_add_command(
    "alerts",
    lambda topics: topics.alerts,
    _alert,
    """Print alerts with their explanation.

    Example: fusionlog tap alerts --bootstrap-servers localhost:9092 --from latest
    """,
)
_add_command(
    "windows",
    lambda topics: topics.windows,
    _window,
    """Print closed windows with their score.

    Example: fusionlog tap windows --topic-prefix staging --limit 20
    """,
)
_add_command(
    "late",
    lambda topics: topics.late,
    _late,
    """Print lines that came after their window had been emitted.

    Example: fusionlog tap late --until-end
    """,
)
_add_command(
    "dlq",
    lambda topics: topics.dlq,
    _dead_letter,
    """Print dead letters: records that could not be read, and why.

    Example: fusionlog tap dlq --until-end --json
    """,
)
