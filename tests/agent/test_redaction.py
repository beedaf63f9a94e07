"""No secret, mail address, IP address or user name is written anywhere, whichever field it came in by."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import structlog
from faust.types import TP

from agent.metrics import Metrics
from agent.models.serving import ModelServing, Reasons, Verdict
from agent.models.watcher import ModelWatcher
from agent.runtime.batch import Batch
from agent.runtime.outgoing import Outgoing, encode_output
from agent.settings import AgentSettings
from agent.stages.detect import SystemDetection
from agent.stages.stage import Output, PlainRecord, TopicRole
from agent.testing import Bed, model_messages
from agent.worker import Worker
from broker.registry.blob_stores import BlobStore
from detector.input.line_reader import LineReader
from detector.model.explain import Contribution
from detector.model.runs import Runs
from detector.testing import SYSTEM, tiny_model
from schemas.alert import NearestSourceEvent
from schemas.codec import encode
from schemas.model_record import ModelStatus
from schemas.topics import Topics

START_MS = 1_700_000_000_000
CANARIES = (
    "bob.canary@example.com",
    "203.0.113.77",
    "2001:db8::dead:beef:77",
    "ghp_canaryCANARY0123456789",
    "hunter2canary",
    "canaryuser",
    "canaryhome",
    "AKIACANARY1234567890",
    "eyJcanarycanary.canarybody",
    "canarybearer123",
    # What is left of the secrets that masks split.
    "-canarykey",
    "canary.bob.",
    "-canaryslack",
    "-canarygitlab",
    "_canarynpm",
    "-canaryauth",
    "canarysignature",
    ",canarypass",
    "@10.1.2.3",
    "-canaryHOST",
    "canarylogin@",
)
TEXT = (
    "mail bob.canary@example.com from 203.0.113.77 and 2001:db8::dead:beef:77 token ghp_canaryCANARY0123456789 "
    "password=hunter2canary user=canaryuser in /home/canaryhome/x key AKIACANARY1234567890 "
    "jwt eyJcanarycanary.canarybody.sig authorization: Bearer canarybearer123 "
    "keys sk-1234-canarykey xoxb-123456789012-12345-canaryslack glpat-77-canarygitlab npm_2024_canarynpm000000000 "
    "canary.bob.1985@example.com sent Bearer 4711-canaryauth via postgres://admin:a,canarypass@db/x by "
    "canarylogin@10.1.2.3 token eyJhbGciOiJIUzI1NiJ9.eyJ-12-canary.13-canarysignature "
    "and aB3dE5fG-1234-canaryHOST-kL1mN3p"
)


class CanaryModel(ModelServing):
    """A model whose every text holds canaries: they were in another system's logs."""

    def score(self, windows: Sequence[Runs], texts: Mapping[str, str]) -> list[Verdict]:
        """Every window is anomalous."""
        contributions = tuple(
            Contribution(event_id, f"{texts[event_id]} {TEXT}", 2.0, True, run) for event_id, run in windows[0]
        )
        nearest = NearestSourceEvent(text=TEXT, cosine=0.5)
        return [Verdict(0.9, Reasons(("sequence_model",), contributions, "general", nearest)) for _ in windows]


def found_in(text: bytes | str) -> list[str]:
    """The canaries in a text."""
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return [canary for canary in CANARIES if canary in shown]


def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the reader break on some records, with an error that quotes them."""
    read = LineReader.lines

    def lines(reader: LineReader, value: bytes | None, record_time_ms: int) -> Any:
        if value is not None and value.startswith(b"broken"):
            raise OverflowError(value.decode())
        return read(reader, value, record_time_ms)

    monkeypatch.setattr(LineReader, "lines", lines)


def outgoing(model: ModelServing | None) -> list[Outgoing]:
    """All records of a partition whose lines hold canaries in every place."""
    stage = SystemDetection(SYSTEM, model, warmup_windows=1).stage("raw", 0)
    lines = [
        (f"order=17 {TEXT}", START_MS),
        (json.dumps({"message": f"order=18 {TEXT}", "other": TEXT}), START_MS + 1),
        (f"order=19 plain {TEXT}", START_MS + 90_000),
        (f"order=20 {TEXT} plain", START_MS + 10_000_000),
        (f"order=17 late {TEXT}", START_MS),
        (f"broken {TEXT}", START_MS),
        (f'{{"message": {TEXT}', START_MS),
    ]
    records = [
        PlainRecord(at, text.encode(), time_ms, b"key", (("header", TEXT.encode()),))
        for at, (text, time_ms) in enumerate(lines)
    ]
    output = Output([*stage.process(records).records, *stage.close_idle().records])
    assert {one.role for one in output.records} == set(TopicRole)
    return encode_output(output, Topics())


@pytest.mark.parametrize("serving", ["model", "baseline"])
def test_no_canary_is_in_any_output(serving: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted in lines, fields, templates, model texts and errors, none is in a key, value or header of any topic.

    What a dead letter keeps of the raw record (key, value, its own headers) is raw by contract. So is a window's key:
    the settings say which field it is.
    """
    unreadable(monkeypatch)
    for one in outgoing(CanaryModel(tiny_model()) if serving == "model" else None):
        ours = one.headers[one.foreign_headers :]
        shown = b" ".join(name.encode() + b"=" + value for name, value in ours)
        assert found_in(shown) == [], one.topic
        if one.topic == Topics().dlq:
            assert found_in(one.value or b"") == list(CANARIES)
            assert found_in(one.headers[0][1]) == list(CANARIES)
        else:
            assert found_in((one.key or b"") + b" " + (one.value or b"")) == [], one.topic


async def test_no_canary_is_in_the_log_of_an_unforeseen_error() -> None:
    """An error that quotes a line ends the agent; the log has its traceback without the canaries."""
    settings = {"systems": [{"topics": ["raw"], "spec": SYSTEM.model_dump()}], "http": {"port": 0}}
    worker = Worker(AgentSettings.model_validate(settings))

    class BrokenPartition:
        """A partition that breaks on a batch."""

        alive = True

        async def take(self, _batch: Batch) -> None:
            raise ValueError(f"cannot take {TEXT}")

    partitions: Any = {TP("raw", 0): BrokenPartition()}
    worker.checkpointer.partitions = partitions
    with structlog.testing.capture_logs() as logs:
        await worker.take(TP("raw", 0), Batch(1, 1, []))
    (entry,) = logs
    assert "ValueError: cannot take mail <redacted-email>" in entry["exception"]
    assert "Traceback" in entry["exception"]
    assert found_in(repr(logs)) == []


async def test_no_canary_is_in_the_logs_of_a_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading, closing and checkpointing lines full of canaries logs none of them."""
    unreadable(monkeypatch)
    records = [PlainRecord(0, TEXT.encode(), START_MS), PlainRecord(1, f"broken {TEXT}".encode(), START_MS)]
    with structlog.testing.capture_logs() as logs:
        bed = Bed(SystemDetection(SYSTEM).stage, records)
        await bed.restore()
        await bed.partition.take(bed.source.fetch(2))
        assert await bed.checkpointer.checkpoint()
    assert logs
    assert found_in(repr(logs)) == []
    assert found_in(bed.metrics.exposition()) == []


async def test_no_canary_is_in_a_model_status() -> None:
    """An error while a model is loaded may quote a URL with a password: status and log are redacted."""
    statuses: list[ModelStatus] = []

    def open_artifacts(_url: str) -> BlobStore:
        raise OSError(TEXT)

    async def swap(_system: str, _serving: ModelServing) -> None:
        """Not reached."""

    settings = AgentSettings.model_validate({"systems": [{"topics": ["raw"], "spec": SYSTEM.model_dump()}]})
    watcher = ModelWatcher(settings, statuses.append, Metrics(), swap, open_artifacts=open_artifacts)
    with structlog.testing.capture_logs() as logs:
        watcher._fold(model_messages("0" * 64))
        await watcher._load_wanted()
    assert [status.result for status in statuses] == ["unavailable"]
    assert found_in(encode(statuses[0])) == []
    assert logs
    assert found_in(repr(logs)) == []
