"""Detection, the first stage: raw records in; alerts, closed windows, late lines, dead letters and new templates out.

A `SystemDetection` holds what the partitions of a system share (reader, model, catalogue); a `DetectionStage` the
state of one partition. All of it is used by one thread at a time. Every text in the output is redacted; the raw key
and value of a dead letter are not.
"""

import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import msgspec

from agent.models.serving import BaselineServing, ModelServing, Serving
from agent.stages.alerts import build_alert, closed_window, late_line
from agent.stages.catalogue import TemplateCatalogue
from agent.stages.stage import KafkaRecord, Output, OutputRecord, TopicRole
from agent.timeouts import SYSTEM_CLOCK
from detector.errors import DecodeError, SnapshotError
from detector.input.redact import redact
from detector.model.baseline import NoveltyBaseline
from detector.model.runs import run_lengths
from detector.parsing.templates import TemplateMatcher
from detector.partition_reader import PartitionReader, ReadLine, SystemReader
from detector.system import SystemSpec
from detector.windowing.state import Late, Window
from schemas.dead_letter import DeadLetter

ERROR_CHARACTERS = 4_096  # more of a decoding error is not even redacted; the dead letter shows fewer
NULL_VALUE = "fusionlog.dlq.original.null"
"""Header of a dead letter whose record had no value; the dead letter's own value is empty."""


@cache
def app_version() -> str:
    """Version of the installed program, for dead letters."""
    try:
        return version("fusionlog")
    except PackageNotFoundError:
        return "0"


class SystemDetection:
    """What all partitions of a system share.

    Args:
        model: what scores its windows; None: each partition's own baseline, until `swap`.
        replay: marks the output as a replay.
        anomalous_only: closed windows without an alert leave no record.
        warmup_windows: windows of a partition from which its baseline only learns.
    """

    def __init__(
        self,
        spec: SystemSpec,
        model: ModelServing | None = None,
        *,
        source: str = "/fusionlog/local",
        replay: bool = False,
        anomalous_only: bool = False,
        now_ms: Callable[[], int] = SYSTEM_CLOCK.wall_ms,
        warmup_windows: int = 200,
    ) -> None:
        self.spec = spec
        self.source = f"{source.rstrip('/')}/{spec.name}"
        self.replay = replay
        self.anomalous_only = anomalous_only
        self.warmup_windows = warmup_windows
        self.catalogue = TemplateCatalogue(spec.name)
        self.model = model
        self.reader = SystemReader(spec, TemplateMatcher(()) if model is None else model.matcher, now_ms=now_ms)

    @property
    def model_version(self) -> int:
        """Version of the model that serves; 0 is the baseline."""
        return 0 if self.model is None else self.model.reference.version

    def swap(self, model: ModelServing) -> None:
        """Serve with another model from the next line on; open windows are scored by it when they close."""
        self.model = model
        self.reader.swap(model.matcher)

    def stage(self, topic: str, partition: int, position: int = 0) -> "DetectionStage":
        """The stage of a partition without open windows, to be read from `position` on."""
        return DetectionStage(self, topic, partition, position)


class _State(msgspec.Struct, frozen=True, array_like=True):
    """Snapshot of a partition.

    Attributes:
        spec: fingerprint of the system.
        texts: of the events in them; a later model may lack them.
        baseline: state of the baseline while it serves, else empty.
    """

    spec: str
    windows: bytes
    texts: list[tuple[str, str]]
    baseline: bytes


class _StateWithoutEnvelope(msgspec.Struct, frozen=True, array_like=True):
    """Snapshot of release 0.1.0; its `version` is 1."""

    version: int
    spec: str
    position: int
    windows: bytes
    texts: list[tuple[str, str]]


class DetectionStage:
    """Detection on one partition: its position, open windows, the texts of their events, and its baseline."""

    name = "detect"
    version = 2

    def __init__(self, shared: SystemDetection, topic: str, partition: int, position: int) -> None:
        self.shared = shared
        self.system = shared.spec.name
        self.topic = topic
        self.partition = partition
        self.position = position
        self._reader = PartitionReader(shared.reader, topic, partition)
        self._texts: dict[str, str] = {}
        self._baseline = BaselineServing(NoveltyBaseline(shared.warmup_windows))

    @property
    def open_windows(self) -> int:
        """How many windows are open."""
        return self._reader.open_windows

    @property
    def watermark_ms(self) -> int | None:
        """The partition's watermark; None before the first line."""
        return self._reader.watermark_ms

    @property
    def idle_seconds(self) -> float | None:
        """Silence after which the clock may close windows; None where only data may."""
        return self.shared.spec.window.quiet_seconds

    def process(self, records: Sequence[KafkaRecord]) -> Output:
        """Take the next records, in the order of the partition; those below the position are repeats and skipped."""
        output = Output()
        started = time.perf_counter()
        fresh = [record for record in records if record.offset >= self.position]
        batch = self._reader.read(fresh)
        if fresh:
            self.position = fresh[-1].offset + 1
        if batch.unreadable:
            by_offset = {record.offset: record for record in fresh}
            for offset, error in batch.unreadable:
                self._reject(by_offset[offset], error, output)
        for late in batch.late:
            self._report_late(late, output)
        self._learn(batch.lines, output)
        output.counts["records_consumed",] += len(fresh)
        output.seconds["parse_latency"] = time.perf_counter() - started
        self._report(batch.closed, output)
        return output

    def close_idle(self) -> Output:
        """Close every open window by the clock."""
        output = Output()
        self._report(self._reader.flush("idle"), output)
        return output

    def snapshot(self) -> bytes:
        """State to `restore` from at the present position."""
        self._texts = {event_id: self._texts[event_id] for event_id in sorted(self._reader.open_event_ids())}
        return msgspec.msgpack.encode(
            _State(
                spec=self.shared.spec.fingerprint(),
                windows=self._reader.snapshot(),
                texts=list(self._texts.items()),
                baseline=b"" if self.shared.model is not None else self._baseline.baseline.dump(),
            )
        )

    def restore(self, body: bytes, version: int) -> None:
        """Take on the state that `snapshot` gave at this position; version 0 is that of release 0.1.0.

        Raises:
            SnapshotError: the snapshot cannot be read, or is of other settings.
        """
        try:
            state = self._read_state(body, version)
        except (msgspec.DecodeError, ValueError) as error:
            raise SnapshotError(f"snapshot must be one of this program, got {error}") from error
        spec = self.shared.spec
        if not spec.accepts(state.spec):
            raise SnapshotError(
                f"snapshot must be of settings {spec.fingerprint()}, got {state.spec}: were the system's format, key, "
                "masks or windows changed? Then set on_lost_state: restart_windows once"
            )
        self._reader = PartitionReader.restore(self.shared.reader, self.topic, self.partition, state.windows)
        self._texts = dict(state.texts)
        if state.baseline:
            self._baseline = BaselineServing(NoveltyBaseline.load(state.baseline, self.shared.warmup_windows))

    def _read_state(self, body: bytes, version: int) -> _State:
        if version == self.version:
            return msgspec.msgpack.decode(body, type=_State)
        if version != 0:
            raise ValueError(f"version {version} of {self.name!r}")
        old = msgspec.msgpack.decode(body, type=_StateWithoutEnvelope)
        if (old.version, old.position) != (1, self.position):
            raise ValueError(f"version {old.version} at position {old.position} where {self.position} is committed")
        return _State(old.spec, old.windows, old.texts, b"")

    def _learn(self, lines: Sequence[ReadLine], output: Output) -> None:
        texts, catalogue = self._texts, self.shared.catalogue
        for line in lines:
            event = line.event
            texts.setdefault(event.id, event.text)
            if not event.novel:
                continue
            learned = catalogue.learn(event, self.topic, self.partition, line.place[0], line.record_time_ms)
            if learned is not None:
                key = f"{learned.system}/{learned.id}".encode()
                output.records.append(OutputRecord(TopicRole.TEMPLATES, key, learned))
                output.counts["templates_created",] += 1

    def _reject(self, record: KafkaRecord, error: DecodeError, output: Output) -> None:
        letter = DeadLetter(
            reason=error.reason,
            message=redact(str(error)[:ERROR_CHARACTERS]),
            topic=self.topic,
            partition=self.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp if record.timestamp is not None else -1,
            app_version=app_version(),
        )
        foreign = [(name, value or b"") for name, value in record.headers]
        headers = foreign + letter.headers()
        if record.value is None:  # Kafka takes no record without key and value
            headers.append((NULL_VALUE, b"true"))
        output.records.append(
            OutputRecord(TopicRole.DLQ, record.key, record.value or b"", tuple(headers), foreign_headers=len(foreign))
        )
        output.counts["records_failed", "decode", error.reason] += 1
        output.counts["dlq_records", error.reason] += 1

    def _report_late(self, late: Late, output: Output) -> None:
        line = late_line(late, self.system, self.topic, self.partition)
        output.records.append(OutputRecord(TopicRole.LATE, line.key.encode("utf-8", "replace"), line))
        output.counts["late_lines",] += 1

    def _report(self, closed: Sequence[Window], output: Output) -> None:
        """Score closed windows: first the records of all windows, then the alerts."""
        if not closed:
            return
        serving: Serving = self.shared.model or self._baseline
        started = time.perf_counter()
        verdicts = serving.score([run_lengths(window.event_ids) for window in closed], self._texts)
        output.seconds["score_latency"] = time.perf_counter() - started
        shared, alerts = self.shared, []
        for window, verdict in zip(closed, verdicts, strict=True):
            output.counts["windows_closed", window.closed_by] += 1
            if verdict.anomalous or not shared.anomalous_only:
                record = closed_window(window, verdict, serving, replay=shared.replay)
                output.records.append(OutputRecord(TopicRole.WINDOWS, record.id.encode(), record))
            if verdict.anomalous:
                alert = build_alert(window, verdict, serving, source=shared.source, replay=shared.replay)
                alerts.append(alert)
                output.counts["anomalies", alert.data.severity_text, alert.data.reason[0]] += 1
        output.records += [
            OutputRecord(TopicRole.ALERTS, alert.data.fingerprint.encode(), alert, tuple(alert.headers()))
            for alert in alerts
        ]
