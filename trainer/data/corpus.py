"""From lines to a corpus: learn templates on a sample, freeze them, match and window every line, keep signatures.

Lines go through the agent's own `PartitionReader`, so the windows are those the agent will see. Memory grows with
distinct windows, never with lines.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice

import numpy as np
import structlog

from detector.input.redact import without_secrets
from detector.model.runs import Runs, run_lengths
from detector.parsing.templates import Template, TemplateMatcher
from detector.partition_reader import PartitionReader, SystemReader
from detector.system import SystemSpec
from detector.windowing.cutter import wall_clock_ms
from detector.windowing.state import Window
from trainer.data.lines import Line, SourceLine
from trainer.data.signatures import Corpus, Signature, signature_id
from trainer.data.sources import Source, Target
from trainer.data.template_sample import SAMPLE_LINES, learn_templates
from trainer.data.unread_times import Role, keep_head, warn_of_unread_times
from trainer.data.window_labels import WindowLabels
from trainer.errors import SourceError
from trainer.progress import Progress

EXAMPLE_WINDOWS = 64
_STEP_LINES = 5_000
_BATCH_LINES = 1_000
_MINUTE_MS, _MINUTES_OF_DAY = 60_000, 1_440
_END_SHARE = 0.01


def read_corpus(
    stream: Source | Target,
    sample_lines: int = SAMPLE_LINES,
    seed: int = 0,
    progress: Progress | None = None,
    learned: Iterable[str] = (),
) -> tuple[Corpus, tuple[Template, ...]]:
    """Learn a stream's templates, then reduce all of it to its corpus; the stream is read twice.

    Templates are learned from `sample_lines` and from `learned`, the texts of those that agents have learned already.

    Raises:
        SourceError: it cannot be read, or there is nothing in it to learn from.
    """
    progress = progress or Progress()
    is_source = isinstance(stream, Source)
    role: Role = "source" if is_source else "target"
    progress.stage(f"{role}: templates", stream.size)
    head: list[Line] = []
    lines = _counted(keep_head(stream.lines(), head), progress)
    templates = learn_templates(lines, stream.spec, sample_lines, seed, learned)
    warn_of_unread_times(head, stream.spec, role)
    progress.stage(f"{role}: windows", stream.size)
    labels = stream.labels if isinstance(stream, Source) else None
    corpus = build_corpus(_counted(stream.lines(), progress), stream.spec, TemplateMatcher(templates), labels, role)
    if is_source:
        check_labels(corpus)
    return corpus, templates


def build_corpus(
    lines: Iterable[Line],
    spec: SystemSpec,
    matcher: TemplateMatcher,
    labels: WindowLabels | None = None,
    role: Role = "target",
) -> Corpus:
    """Match and window every line, and keep one row per distinct run-length sequence.

    A window of a source is anomalous if `labels` says so; without `labels`, if one of its lines is labelled anomalous.

    Args:
        lines: of each partition in the order of their offsets.
        spec: the system.
        matcher: the frozen templates.
        labels: of a source, where they are in a file of their own.
        role: of the system in this run; errors name its options.

    Raises:
        SourceError: there is no window.
    """
    builder = _Builder(spec, matcher, labels, role)
    for (topic, partition), run in groupby(lines, key=lambda line: (line.topic, line.partition)):
        while batch := list(islice(run, _BATCH_LINES)):
            builder.add(topic, partition, batch)
    return builder.finish()


def check_labels(corpus: Corpus) -> None:
    """Make sure that a source has both classes.

    Raises:
        SourceError: it has no labels, or windows of one class only.
    """
    shares = [signature.label for signature in corpus.signatures]
    if all(share is None for share in shares):
        raise SourceError(
            f"source {corpus.system!r} must be labelled, got no labels: give source.labels (BlockId,Label or "
            "start,end[,key]), lines of BGL's layout, or JSON lines with a field 'label' or 'anomalous'"
        )
    absent = "anomalous" if not any(shares) else "normal" if all(share == 1 for share in shares) else ""
    if absent:
        raise SourceError(
            f"source {corpus.system!r} must have normal and anomalous windows, got no {absent} one among "
            f"{corpus.windows}: check that its labels belong to it"
        )


@dataclass
class _Partition:
    """The state of reading a partition."""

    reader: PartitionReader
    first_offset: int
    last_offset: int = 0
    time_ms: int = 0
    anomalous_offsets: set[int] = field(default_factory=set)


@dataclass
class _Row:
    """Counts of the windows with one run-length sequence."""

    windows: int = 0
    anomalous: int = 0
    examples: list[str] = field(default_factory=list)


class _Builder:
    """Reduces lines to distinct run-length sequences with their counts, examples and labels."""

    def __init__(self, spec: SystemSpec, matcher: TemplateMatcher, labels: WindowLabels | None, role: Role) -> None:
        self._spec = spec
        self._labels = labels
        self._role = role
        now_ms = wall_clock_ms()  # one for all lines: equal lines without a year are then equal times
        self._labelled = labels is not None
        self._reader = SystemReader(spec, matcher, now_ms=lambda: now_ms, carry_times=True)
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._rows: dict[Runs, _Row] = {}
        self._texts: dict[str, str] = {}
        self._unreadable: Counter[str] = Counter()
        self._lines = self._keyless = 0
        self._lines_of_minute: Counter[int] = Counter()

    def add(self, topic: str, number: int, lines: Sequence[Line]) -> None:
        """Take the next lines of a partition."""
        self._lines += len(lines)
        if (topic, number) not in self._partitions:
            reader = PartitionReader(self._reader, topic, number)
            self._partitions[topic, number] = _Partition(reader, lines[0].offset)
        partition = self._partitions[topic, number]
        partition.last_offset = lines[-1].offset
        batch = partition.reader.read(lines)
        unreadable = {offset for offset, _ in batch.unreadable}
        self._unreadable.update(error.reason for _, error in batch.unreadable)
        for line in lines:
            if isinstance(line, SourceLine) and line.label is not None and line.offset not in unreadable:
                self._labelled = True
                if line.label:
                    partition.anomalous_offsets.add(line.offset)
        for read in batch.lines:
            partition.time_ms = read.time_ms
            if read.time_ms > 0:
                self._lines_of_minute[read.time_ms // _MINUTE_MS] += 1
            if read.keys:
                if read.event.id not in self._texts:
                    self._texts[read.event.id] = without_secrets(read.event.text, keep_users=True)
            else:
                self._keyless += 1
        self._take(partition, batch.closed)

    def finish(self) -> Corpus:
        """Close the open windows; returns the corpus."""
        for partition in self._partitions.values():
            self._take(partition, partition.reader.flush())
        log = structlog.get_logger(__name__)
        unreadable = self._unreadable.total()
        if unreadable:
            log.warning("lines left out", system=self._spec.name, lines=self._lines, reasons=dict(self._unreadable))
        if not self._rows:
            raise SourceError(self._why_no_window())
        return Corpus(
            system=self._spec.name,
            texts=dict(sorted(self._texts.items())),
            signatures=tuple(sorted((self._signature(*row) for row in self._rows.items()), key=lambda one: one.id)),
            lines=self._lines,
            unreadable_lines=unreadable,
            offset_ranges={
                f"{topic}/{number}": (partition.first_offset, partition.last_offset)
                for (topic, number), partition in self._partitions.items()
            },
            keyless_lines=self._keyless,
            last_time_ms=max(0, *(one.time_ms for one in self._partitions.values())),
            days=_days(self._lines_of_minute),
        )

    def _signature(self, runs: Runs, row: _Row) -> Signature:
        return Signature(
            id=signature_id(runs),
            runs=runs,
            windows=row.windows,
            example_window_ids=tuple(row.examples),
            label=row.anomalous / row.windows if self._labelled else None,
        )

    def _why_no_window(self) -> str:
        system = f"{self._role} {self._spec.name!r}"
        if not self._lines:
            return (
                f"{system} must have lines, got none: produce logs first, or check the path or topic and its from and "
                "to"
            )
        if not self._keyless:
            return (
                f"{system} must have readable lines, got {self._lines}, all of them unreadable "
                f"({', '.join(sorted(self._unreadable))}): check layout and format"
            )
        option = "--source-" if self._role == "source" else "--"
        return (
            f"{system} must have lines that name a key, got {self._keyless} readable lines that name no key: give "
            f"{option}key-pattern, a regular expression that finds the key in a line (spec.key_pattern; key_field for "
            f"JSON), or where lines have no key {option}window-kind tumbling or count, which then take all lines of a "
            "partition"
        )

    def _take(self, partition: _Partition, closed: Iterable[Window]) -> None:
        for window in closed:
            row = self._rows.setdefault(run_lengths(window.event_ids), _Row())
            row.windows += 1
            if self._labels is not None:
                row.anomalous += self._labels.label(window)
            else:
                row.anomalous += not partition.anomalous_offsets.isdisjoint(window.offsets)
            if len(row.examples) < EXAMPLE_WINDOWS:
                row.examples.append(window.id)


def _days(lines_of_minute: Mapping[int, int]) -> float:
    """Days that lines span, from the minutes between which all but one in a hundred at each end lie."""
    if not lines_of_minute:
        return 0.0
    minutes = sorted(lines_of_minute)
    share = np.cumsum([lines_of_minute[minute] for minute in minutes]) / sum(lines_of_minute.values())
    first, last = (minutes[int(np.searchsorted(share, at))] for at in (_END_SHARE, 1.0 - _END_SHARE))
    return (last - first + 1) / (1.0 - 2.0 * _END_SHARE) / _MINUTES_OF_DAY


def _counted(lines: Iterable[Line], progress: Progress) -> Iterator[Line]:
    number = 0
    for number, line in enumerate(lines, start=1):
        if number % _STEP_LINES == 0:
            progress.advance(_STEP_LINES)
        yield line
    progress.advance(number % _STEP_LINES)
