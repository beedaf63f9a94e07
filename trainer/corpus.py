"""From lines to a corpus: learn templates on a sample, freeze them, match and window every line, keep signatures.

Lines are read, parsed and cut by the agent's own code (`LineReader`, `LineParser`, `WindowCutter`), so the windows are
those the agent will see. Memory grows with distinct windows, never with lines.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import structlog

from detector.decode import LineReader
from detector.errors import DecodeError
from detector.masking import Masker
from detector.parser import LineParser
from detector.scoring import run_lengths
from detector.system import SystemSpec
from detector.templates import Template, TemplateMatcher
from detector.windows import Window, WindowCutter
from trainer.errors import SourceError
from trainer.lines import UNKNOWN_TIME_MS, SourceLine
from trainer.progress import Progress, Silent
from trainer.signature import Corpus, Runs, Signature, signature_id
from trainer.sources import Source, Target
from trainer.template_sample import SAMPLE_LINES, AnyLine, learn_templates
from trainer.window_labels import WindowLabels

__all__ = ["EXAMPLE_WINDOWS", "build_corpus", "check_labels", "learn_templates", "read_corpus"]

EXAMPLE_WINDOWS = 64
_STEP_LINES = 5_000


def read_corpus(
    stream: Source | Target, sample_lines: int = SAMPLE_LINES, seed: int = 0, progress: Progress | None = None
) -> tuple[Corpus, tuple[Template, ...]]:
    """Learn a stream's templates, then reduce all of it to its corpus; the stream is read twice.

    Raises:
        SourceError: it cannot be read, or there is nothing in it to learn from.
    """
    progress = progress or Silent()
    is_source = isinstance(stream, Source)
    role = "source" if is_source else "target"
    progress.stage(f"{role}: templates", stream.size)
    templates = learn_templates(_counted(stream.lines(), progress), stream.spec, sample_lines, seed)
    parser = LineParser(Masker(stream.spec.masks, stream.spec.max_tokens), TemplateMatcher(templates))
    progress.stage(f"{role}: windows", stream.size)
    labels = stream.labels if isinstance(stream, Source) else None
    corpus = build_corpus(_counted(stream.lines(), progress), stream.spec, parser, labels)
    if is_source:
        check_labels(corpus)
    return corpus, templates


def build_corpus(
    lines: Iterable[AnyLine], spec: SystemSpec, parser: LineParser, labels: WindowLabels | None = None
) -> Corpus:
    """Match and window every line, and keep one row a distinct run-length sequence.

    A window of a source is anomalous if `labels` says so; without `labels`, if one of its lines is labelled anomalous.

    Args:
        lines: of each partition in the order of their offsets.
        spec: the system.
        parser: with the frozen templates.
        labels: labels that stand beside a source's log.

    Raises:
        SourceError: there is no window.
    """
    builder = _Builder(spec, parser, labels)
    for line in lines:
        builder.add(line)
    return builder.finish()


def check_labels(corpus: Corpus) -> None:
    """Make sure that a source can teach both classes.

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
    """Where the reading of a partition stands."""

    topic: str
    number: int
    cutter: WindowCutter
    first_offset: int
    last_offset: int
    time_ms: int = 0
    anomalous_offsets: set[int] = field(default_factory=set)


@dataclass
class _Row:
    """What is kept of the windows that have one run-length sequence."""

    windows: int = 0
    anomalous: int = 0
    examples: list[str] = field(default_factory=list)


class _Builder:
    """Takes lines, keeps distinct run-length sequences with their counts, examples and labels."""

    def __init__(self, spec: SystemSpec, parser: LineParser, labels: WindowLabels | None) -> None:
        self._spec = spec
        self._parser = parser
        self._labels = labels
        self._labelled = labels is not None
        self._reader = LineReader(spec)
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._rows: dict[Runs, _Row] = {}
        self._texts: dict[str, str] = {}
        self._unreadable: Counter[str] = Counter()
        self._lines = self._keyless = self._late = 0

    def add(self, line: AnyLine) -> None:
        """Take the next line of its partition."""
        self._lines += 1
        partition = self._partitions.get((line.topic, line.partition)) or self._begin(line)
        partition.last_offset = line.offset
        time_ms = partition.time_ms if line.record_time_ms == UNKNOWN_TIME_MS else line.record_time_ms
        try:
            read = self._reader.read(line.value, time_ms)
        except DecodeError as error:
            self._unreadable[error.reason] += 1
            return
        partition.time_ms = read.event_time_ms
        if isinstance(line, SourceLine) and line.label is not None:
            self._labelled = True
            if line.label:
                partition.anomalous_offsets.add(line.offset)
        event = self._parser.event(read.text)
        if read.keys:
            self._texts.setdefault(event.id, event.text)
        else:
            self._keyless += 1
        partition.cutter.add(line.offset, read.event_time_ms, read.keys, event.id, read.text)
        self._take(partition)

    def finish(self) -> Corpus:
        """Close what is open; the corpus."""
        for partition in self._partitions.values():
            partition.cutter.flush()
            self._take(partition)
        log = structlog.get_logger(__name__)
        unreadable = self._unreadable.total()
        if unreadable:
            log.warning("lines left out", system=self._spec.name, lines=self._lines, reasons=dict(self._unreadable))
        if not self._rows:
            if not self._lines:
                raise SourceError(
                    f"system {self._spec.name!r} must have lines, got none: produce logs first, or check the path or "
                    "topic and its from and to"
                )
            reasons = f" ({', '.join(sorted(self._unreadable))})" if unreadable else ""
            raise SourceError(
                f"system {self._spec.name!r} must have lines that form windows, got {self._lines} lines, of which "
                f"{unreadable} are unreadable{reasons} and {self._keyless} name no key: check layout, format, and "
                "key_pattern or key_field"
            )
        return Corpus(
            system=self._spec.name,
            texts=self._texts,
            signatures=self._signatures(),
            lines=self._lines,
            unreadable_lines=unreadable,
            offset_ranges={
                f"{one.topic}/{one.number}": (one.first_offset, one.last_offset) for one in self._partitions.values()
            },
            keyless_lines=self._keyless,
            late_lines=self._late,
            last_time_ms=max(0, *(one.time_ms for one in self._partitions.values())),
        )

    def _begin(self, line: AnyLine) -> _Partition:
        place = (line.topic, line.partition)
        cutter = WindowCutter(self._spec.name, self._spec.window, *place)
        self._partitions[place] = _Partition(*place, cutter, line.offset, line.offset)
        return self._partitions[place]

    def _take(self, partition: _Partition) -> None:
        for window in partition.cutter.take_closed():
            row = self._rows.setdefault(run_lengths(window.event_ids), _Row())
            row.windows += 1
            row.anomalous += self._is_anomalous(window, partition)
            if len(row.examples) < EXAMPLE_WINDOWS:
                row.examples.append(window.id)
        self._late += len(partition.cutter.take_late())

    def _is_anomalous(self, window: Window, partition: _Partition) -> bool:
        if self._labels is not None:
            return bool(self._labels.label(window))
        return not partition.anomalous_offsets.isdisjoint(window.offsets)

    def _signatures(self) -> tuple[Signature, ...]:
        return tuple(
            Signature(
                id=signature_id(runs),
                runs=runs,
                windows=row.windows,
                example_window_ids=tuple(row.examples),
                label=row.anomalous / row.windows if self._labelled else None,
            )
            for runs, row in self._rows.items()
        )


def _counted(lines: Iterable[AnyLine], progress: Progress) -> Iterator[AnyLine]:
    number = 0
    for number, line in enumerate(lines, start=1):
        if number % _STEP_LINES == 0:
            progress.advance(_STEP_LINES)
        yield line
    progress.advance(number % _STEP_LINES)
