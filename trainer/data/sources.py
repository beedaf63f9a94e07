"""Opens the inputs of a run: a labelled source and an unlabelled target, from files or by replay of a topic.

Both can be read any number of times and give the same lines each time. Labels in a target's lines are removed here, so
that no later code can see one.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from broker.errors import SettingsError
from broker.settings import KafkaSettings
from detector.system import SystemSpec
from trainer.data.files import read_lines
from trainer.data.line_labels import label_reader, label_remover
from trainer.data.lines import UNKNOWN_TIME_MS, Line, SourceLine, TargetLine
from trainer.data.replay import Replay
from trainer.data.window_labels import WindowLabels, read_window_labels
from trainer.errors import SourceError
from trainer.replay_range import parse_bound
from trainer.settings import STARTER, SourceSettings, TargetSettings, TrainerSettings


@dataclass(frozen=True)
class Source:
    """A labelled system.

    Attributes:
        spec: the system.
        lines: reads its lines, from the start each time.
        labels: of a file beside the log, or None where lines carry their own.
        size: number of lines where it is known beforehand (offsets of a topic), else None.
    """

    spec: SystemSpec
    lines: Callable[[], Iterator[SourceLine]]
    labels: WindowLabels | None = None
    size: int | None = None


@dataclass(frozen=True)
class Target:
    """An unlabelled system; attributes as of a source."""

    spec: SystemSpec
    lines: Callable[[], Iterator[TargetLine]]
    size: int | None = None


def open_source(settings: TrainerSettings) -> Source:
    """The labelled source of a run.

    Raises:
        SettingsError: its file is not there.
        SourceError: it cannot be read.
    """
    source = settings.source
    if source.path == STARTER:
        from trainer.data import starter

        return Source(starter.SPEC, lambda: starter.starter_source(settings.seed))
    assert source.spec is not None
    labels = None if source.labels is None else read_window_labels(source.labels)
    read, size = _open(source, source.spec, settings.kafka)
    read_label = label_reader(source.spec)

    def lines() -> Iterator[SourceLine]:
        for line in read():
            try:
                label = None if labels is not None else read_label(line.value)
            except SourceError as error:
                raise SourceError(f"{source.path}, line {line.offset}: {error}") from None
            yield SourceLine(line.value, line.timestamp, line.topic, line.partition, line.offset, label)

    return Source(source.spec, lines, labels, size)


def open_target(settings: TrainerSettings) -> Target:
    """The unlabelled target of a run.

    Raises:
        SettingsError: its file is not there.
        SourceError: it cannot be read.
    """
    target = settings.target
    read, size = _open(target, target.spec, settings.kafka)
    remove_label = label_remover(target.spec)

    def lines() -> Iterator[TargetLine]:
        for line in read():
            yield TargetLine(remove_label(line.value), line.timestamp, line.topic, line.partition, line.offset)

    return Target(target.spec, lines, size)


def _open(
    place: SourceSettings | TargetSettings, spec: SystemSpec, kafka: KafkaSettings
) -> tuple[Callable[[], Iterable[Line]], int | None]:
    if place.topic is None:
        path = Path(place.path)
        if not path.is_file():
            name = "target" if isinstance(place, TargetSettings) else "source"
            raise SettingsError(
                f"{name}.path (--{name}) must be a file that is there or kafka://TOPIC, got {place.path!r}"
            )
        return lambda: _file_lines(path, spec), None
    begin = None if place.begin is None else parse_bound(place.begin)
    end = None if place.end is None else parse_bound(place.end)
    replay = Replay(kafka, place.topic, begin, end)
    return lambda: replay, replay.offsets


def _file_lines(path: Path, spec: SystemSpec) -> Iterator[Line]:
    for number, value in enumerate(read_lines(path, spec.max_record_bytes)):
        yield Line(value, UNKNOWN_TIME_MS, path.name, 0, number)
