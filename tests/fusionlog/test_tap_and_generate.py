"""`fusionlog tap` and `fusionlog generate`, on the embedded broker."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from confluent_kafka import Message, Producer

from broker import connection_check
from broker.admin import ensure_topics
from broker.embedded import embedded_broker
from broker.settings import KafkaSettings
from detector.input.line_reader import LineReader
from fusionlog.__main__ import run
from fusionlog.commands import tap as tap_command
from fusionlog.commands.generate import _send
from fusionlog.demo.generator import GeneratedLine
from fusionlog.demo.systems import MEDIA_SPEC
from fusionlog.demo.topics import Follower
from schemas.alert import Alert, ModelReference
from schemas.closed_window import ClosedWindow
from schemas.codec import encode
from schemas.dead_letter import DeadLetter
from schemas.late_line import LateLine
from schemas.topics import Topics
from testkit.kafka_io import Kafka
from tests.fusionlog.conftest import MakeAlert


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """Settings of a broker with fusionlog's topics."""
    with embedded_broker() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        ensure_topics(kafka, Topics(), raw={})
        yield kafka


def put(kafka: KafkaSettings, topic: str, *values: bytes, headers: list[tuple[str, bytes]] | None = None) -> None:
    """Write records."""
    producer = Producer(kafka.librdkafka())
    for value in values:
        producer.produce(topic, value, headers=headers)
    assert producer.flush(10) == 0


def tap(kafka: KafkaSettings, *arguments: str) -> int:
    """Exit code of a tap that stops at the end."""
    return run(["tap", *arguments, "--bootstrap-servers", kafka.bootstrap_servers])


def test_alerts_are_printed_for_people_and_for_programs(
    kafka: KafkaSettings, make_alert: MakeAlert, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text names key and evidence, --json prints the record as it is, --limit stops."""
    put(kafka, Topics().alerts, encode(make_alert()), encode(make_alert()))
    assert tap(kafka, "alerts", "--limit", "1") == 0
    text = capsys.readouterr().out
    assert "mj-1" in text
    assert "no room on <PATH>" in text
    assert tap(kafka, "alerts", "--until-end", "--json") == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert documents == [json.loads(encode(make_alert()))] * 2


def test_a_record_of_another_kind_is_reported_and_skipped(
    kafka: KafkaSettings, an_alert: Alert, capsys: pytest.CaptureFixture[str]
) -> None:
    """A foreign record on the topic stops nothing."""
    ensure_topics(kafka, Topics("odd"), raw={})
    put(kafka, Topics("odd").alerts, b"not json", encode(an_alert))
    assert tap(kafka, "alerts", "--topic-prefix", "odd", "--until-end", "--json") == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert "cannot be read" in captured.err


def test_windows_late_lines_and_dead_letters_are_printed(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of record has its line, with control characters escaped."""
    reference = ModelReference(name="media", version=3, sha256="c" * 64)
    window = ClosedWindow(
        id="w1", system="media", kind="session", key="mj-9", topic="raw", partition=0, offsets=(1, 2), event_hash="h",
        start_ms=0, end_ms=1, closed_by="watermark", score=0.25, threshold=0.5, anomalous=False, model=reference,
    )  # fmt: skip
    late = LateLine(
        system="media", key="mj-8", topic="raw", partition=0, offset=2, event_time_ms=0, watermark_ms=1500,
        template_id="t", text="slow\x1b[2J",
    )  # fmt: skip
    put(kafka, Topics().windows, encode(window))
    put(kafka, Topics().late, encode(late))
    put(kafka, Topics().dlq, b"\xff\x00", headers=DeadLetter("undecodable", "bytes", "raw", 0, 3, 0, "0.1").headers())
    assert [tap(kafka, kind, "--until-end") for kind in ("windows", "late", "dlq")] == [0, 0, 0]
    text = capsys.readouterr().out
    for part in ("mj-9", "2 lines, closed by watermark, model 3", "mj-8", "1.5 s late", "undecodable", "raw/0/3"):
        assert part in text
    assert "\x1b[2J" not in text
    assert "\x00" not in text


def test_on_a_terminal_tap_says_what_it_waits_for(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only on a terminal, and on standard error: programs read standard output."""
    ensure_topics(kafka, Topics("quiet"), raw={})
    arguments = ("alerts", "--topic-prefix", "quiet", "--until-end")
    assert tap(kafka, *arguments) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert tap(kafka, *arguments) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"quiet.alerts.v1 on {kafka.bootstrap_servers}" in captured.err


def test_topics_that_are_too_narrow_are_warned_of(kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    """Existing topics stay unchanged; a warning says so, and how to widen the state topic."""
    arguments = ["topics", "create", "--topic-prefix", "narrow", "--bootstrap-servers", kafka.bootstrap_servers]
    assert run([*arguments, "--raw", "raw.narrow"]) == 0
    assert "warning" not in capsys.readouterr().err
    assert run([*arguments, "--raw", "raw.narrow:64"]) == 0
    warnings = capsys.readouterr().err.splitlines()
    assert "topic 'raw.narrow' has" in warnings[0]
    assert "fewer than the 64 asked for" in warnings[0]
    assert run([*arguments, "--partitions", "64"]) == 0
    assert "--topic narrow.state.v1 --partitions 64" in capsys.readouterr().err


def test_a_broker_that_is_not_there_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is not there ends with 1 and one line."""
    monkeypatch.setattr(tap_command, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(connection_check, "LISTEN_SECONDS", 0.3)
    assert run(["tap", "alerts", "--bootstrap-servers", "127.0.0.1:1", "--until-end"]) == 1
    assert capsys.readouterr().err.startswith("fusionlog: ")


class FakeReader:
    """A reader of a broker that goes, comes back without records, goes again and comes back with one."""

    def __init__(self, *steps: str) -> None:
        self.steps = list(steps)

    def poll(self, _seconds: float) -> list[str]:
        """The next step's record, if it is one; then Ctrl-C."""
        if not self.steps:
            raise KeyboardInterrupt
        return ["record"] if self.steps[0] == "record" and self.steps.pop(0) else []

    def answers(self, _seconds: float) -> bool:
        """Whether the broker is up in this step."""
        return self.steps.pop(0) == "up"


def test_a_tap_says_once_that_the_broker_is_gone_and_once_that_it_is_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence alone is no news: the broker is asked, and only a change is told."""
    monkeypatch.setattr(tap_command, "ASK_SECONDS", 0.0)
    reader: Any = FakeReader("up", "record", "up", "down", "down", "up", "up", "down", "record", "record", "up")
    with pytest.raises(KeyboardInterrupt):
        list(tap_command._follow(reader, "kafka:9092"))
    gone, back = "does not answer, waiting for it", "answers again"
    expected = [f"fusionlog: warning: Kafka at kafka:9092 {what}" for what in (gone, back, gone, back)]
    assert capsys.readouterr().err.splitlines() == expected


def test_generate_writes_live_lines_until_the_count(kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    """So many lines reach the topic, with the time of day, readable by the demo's own system description."""
    arguments = ["--topic", "raw.live", "--count", "60", "--rate", "5000"]
    assert run(["generate", *arguments, "--bootstrap-servers", kafka.bootstrap_servers]) == 0
    assert "wrote 60 lines to raw.live" in capsys.readouterr().out
    assert sum(Kafka(kafka).ends("raw.live").values()) == 60
    reader = LineReader(MEDIA_SPEC)
    with Follower(kafka, ["raw.live"]) as follower:
        found: list[Message] = []
        while len(found) < 60:
            found += follower.take()
    lines = [(message.timestamp()[1], reader.lines(message.value() or b"", 0)[0]) for message in found]
    assert all(abs(line.event_time_ms - written_ms) < 60_000 for written_ms, line in lines)
    assert any(line.keys for _, line in lines)


def test_generate_keeps_a_session_on_one_partition(kafka: KafkaSettings) -> None:
    """History comes at once, and no session is spread over partitions."""
    arguments = ["--topic", "raw.past", "--count", "3000", "--history"]
    assert run(["generate", *arguments, "--bootstrap-servers", kafka.bootstrap_servers]) == 0
    reader = LineReader(MEDIA_SPEC)
    partitions: dict[str, set[int | None]] = {}
    with Follower(kafka, ["raw.past"]) as follower:
        count = 0
        while count < 3000:
            for message in follower.take():
                count += 1
                for key in reader.lines(message.value() or b"", 0)[0].keys:
                    partitions.setdefault(key, set()).add(message.partition())
    assert len(partitions) > 100
    assert all(len(found) == 1 for found in partitions.values())


def test_generate_flushes_what_it_has_sent_when_it_fails() -> None:
    """An error of the generator is not the end of the lines before it: they are delivered."""

    class FakeProducer:
        flushed = False

        def produce(self, *_arguments: object, **_options: object) -> None:
            pass

        def poll(self, _seconds: float) -> None:
            pass

        def flush(self, _seconds: float) -> int:
            self.flushed = True
            return 0

    def lines() -> Iterator[GeneratedLine]:
        yield GeneratedLine("one line", 0, 0, "key")
        raise ValueError("no more")

    producer = FakeProducer()
    with pytest.raises(ValueError, match="no more"):
        _send(cast(Producer, producer), "raw", lines())
    assert producer.flushed
