"""Bytes in; alerts, closed windows, late lines, dead letters and new templates out. No Kafka, no Faust.

A `SystemPipeline` holds what the partitions of a system share (reader, parser, model); a `PartitionPipeline` the state
of one partition. All of it is used by one thread at a time.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

import msgspec

from agent.models.serving import Serving, Verdict
from agent.stages.alerts import build_alert, closed_window, late_line
from agent.stages.catalogue import TemplateCatalogue
from detector.errors import DecodeError, SnapshotError
from detector.input.line_reader import LineReader
from detector.model.scoring import run_lengths
from detector.parsing.masking import Masker
from detector.parsing.parser import LineParser
from detector.system import SystemSpec
from detector.windowing.cutter import Window, WindowCutter, wall_clock_ms
from schemas.alert import Alert
from schemas.closed_window import ClosedWindow
from schemas.dead_letter import DeadLetter
from schemas.late_line import LateLine
from schemas.template_record import TemplateRecord


@cache
def app_version() -> str:
    """Version of the installed program, for dead letters."""
    try:
        return version("fusionlog")
    except PackageNotFoundError:
        return "0"


class RawRecord(Protocol):
    """A record of a raw topic, as aiokafka gives it; `timestamp` in milliseconds."""

    offset: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class InputRecord:
    """A record without Kafka, for tests and the bench."""

    offset: int
    value: bytes | None
    timestamp: int | None = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be read: why, and its raw parts."""

    letter: DeadLetter
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass
class Output:
    """What came of some records.

    Attributes:
        lines: records read, good ones and rejected ones.
        parse_seconds, score_seconds: time spent.
    """

    alerts: list[Alert] = field(default_factory=list)
    windows: list[ClosedWindow] = field(default_factory=list)
    late: list[LateLine] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    templates: list[TemplateRecord] = field(default_factory=list)
    closed_by: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    parse_seconds: float = 0.0
    score_seconds: float = 0.0


class SystemPipeline:
    """What all partitions of a system share.

    Args:
        spec: the system.
        serving: what scores its windows now; `swap` puts another in its place.
        source: `source` of its alerts.
        replay: marks what leaves as a replay.
        anomalous_only: closed windows without an alert leave no record.
        now_ms: the clock, milliseconds since the epoch.
    """

    def __init__(
        self,
        spec: SystemSpec,
        serving: Serving,
        *,
        source: str = "/fusionlog/local",
        replay: bool = False,
        anomalous_only: bool = False,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.spec = spec
        self.source = f"{source.rstrip('/')}/{spec.name}"
        self.replay = replay
        self.anomalous_only = anomalous_only
        self.now_ms = now_ms
        self.reader = LineReader(spec)
        self.catalogue = TemplateCatalogue(spec.name)
        self._masker = Masker(spec.masks, spec.max_tokens)
        self.swap(serving)

    def swap(self, serving: Serving) -> None:
        """Serve with another model from the next line on; open windows are scored by it when they close."""
        self.serving = serving
        self.parser = LineParser(self._masker, serving.matcher)

    def partition(self, topic: str, partition: int, position: int = 0) -> "PartitionPipeline":
        """A partition with no open windows, to be read from `position` on."""
        cutter = WindowCutter(self.spec.name, self.spec.window, topic, partition, self.now_ms)
        return PartitionPipeline(self, topic, partition, cutter, position, {})

    def restore(self, topic: str, partition: int, position: int, snapshot: bytes) -> "PartitionPipeline":
        """A partition as `PartitionPipeline.snapshot` left it at `position`.

        Raises:
            SnapshotError: the snapshot cannot be read, or is of other settings.
        """
        try:
            state = msgspec.msgpack.decode(snapshot, type=_State)
        except (msgspec.DecodeError, ValueError) as error:
            raise SnapshotError(f"snapshot must be one of this program, got {error}") from error
        if state.version != _State.VERSION or state.spec != self.spec.fingerprint() or state.position != position:
            raise SnapshotError(
                f"snapshot must be of version {_State.VERSION}, settings {self.spec.fingerprint()} and position "
                f"{position}, got {state.version}, {state.spec} and {state.position}: were the system's format, key, "
                "masks or windows changed? Then set on_lost_state: restart_windows once"
            )
        cutter = WindowCutter.restore(state.windows, self.spec.name, self.spec.window, topic, partition, self.now_ms)
        return PartitionPipeline(self, topic, partition, cutter, position, dict(state.texts))


class _State(msgspec.Struct, frozen=True, array_like=True):
    """Snapshot of a partition: its windows, and the texts of the events in them (a later model may lack them)."""

    VERSION = 1

    version: int
    spec: str
    position: int
    windows: bytes
    texts: list[tuple[str, str]]


class PartitionPipeline:
    """One partition: its position, open windows, and the texts of their events."""

    def __init__(
        self,
        system: SystemPipeline,
        topic: str,
        partition: int,
        cutter: WindowCutter,
        position: int,
        texts: dict[str, str],
    ) -> None:
        self.system = system
        self.topic = topic
        self.number = partition
        self.position = position
        self._cutter = cutter
        self._texts = texts

    @property
    def open_windows(self) -> int:
        """How many windows are open."""
        return self._cutter.open_windows

    @property
    def watermark_ms(self) -> int | None:
        """The partition's watermark."""
        return self._cutter.watermark_ms

    def process(self, records: Sequence[RawRecord]) -> Output:
        """Take the next records, in the order of the partition; those below the position are repeats and skipped."""
        output = Output()
        started = time.perf_counter()
        for record in records:
            if record.offset < self.position:
                continue
            self._take(record, output)
            self.position = record.offset + 1
            output.lines += 1
        output.parse_seconds = time.perf_counter() - started
        self._emit(output)
        return output

    def close_idle(self) -> Output:
        """Close every open window because the clock says that nothing comes."""
        return self._flush("idle")

    def flush(self) -> Output:
        """Close every open window because the input has ended; for bounded input."""
        return self._flush("shutdown")

    def snapshot(self) -> bytes:
        """State to `restore` from at the present position."""
        wanted = self._cutter.open_event_ids()
        self._texts = {event_id: self._texts[event_id] for event_id in sorted(wanted)}
        return msgspec.msgpack.encode(
            _State(
                version=_State.VERSION,
                spec=self.system.spec.fingerprint(),
                position=self.position,
                windows=self._cutter.snapshot(),
                texts=list(self._texts.items()),
            )
        )

    def _flush(self, closed_by: str) -> Output:
        output = Output()
        if closed_by == "idle":
            self._cutter.close_idle()
        else:
            self._cutter.flush(closed_by)
        self._emit(output)
        return output

    def _take(self, record: RawRecord, output: Output) -> None:
        system = self.system
        time_ms = record.timestamp if record.timestamp is not None and record.timestamp >= 0 else system.now_ms()
        try:
            line = system.reader.read(record.value, time_ms)
        except DecodeError as error:
            output.rejected.append(self._rejected(record, error))
            return
        except Exception as error:  # noqa: BLE001 - else one record would end the agent at every start
            unforeseen = DecodeError("undecodable", f"value must be readable, got {type(error).__name__}: {error}")
            output.rejected.append(self._rejected(record, unforeseen))
            return
        event = system.parser.event(line.text)
        self._texts.setdefault(event.id, event.text)
        if event.novel:
            learned = system.catalogue.learn(event, self.topic, self.number, record.offset, time_ms)
            if learned is not None:
                output.templates.append(learned)
        self._cutter.add(record.offset, line.event_time_ms, line.keys, event.id, line.text)

    def _rejected(self, record: RawRecord, error: DecodeError) -> Rejected:
        letter = DeadLetter(
            reason=error.reason,
            message=str(error),
            topic=self.topic,
            partition=self.number,
            offset=record.offset,
            timestamp_ms=record.timestamp if record.timestamp is not None else -1,
            app_version=app_version(),
        )
        return Rejected(letter, record.key, record.value, record.headers)

    def _emit(self, output: Output) -> None:
        system = self.system
        for late in self._cutter.take_late():
            output.late.append(late_line(late, system.spec.name, self.topic, self.number))
        closed = self._cutter.take_closed()
        if not closed:
            return
        started = time.perf_counter()
        verdicts = system.serving.judge([run_lengths(window.event_ids) for window in closed], self._texts)
        output.score_seconds = time.perf_counter() - started
        for window, verdict in zip(closed, verdicts, strict=True):
            self._report(window, verdict, output)

    def _report(self, window: Window, verdict: Verdict, output: Output) -> None:
        system = self.system
        output.closed_by[window.closed_by] += 1
        if verdict.anomalous:
            output.alerts.append(
                build_alert(window, verdict, system.serving, source=system.source, replay=system.replay)
            )
        if verdict.anomalous or not system.anomalous_only:
            output.windows.append(closed_window(window, verdict, system.serving, replay=system.replay))
