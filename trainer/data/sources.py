"""Opens the inputs of a run: a labelled source and an unlabelled target, from files or by replay of a topic.

Both can be read any number of times and give the same lines each time. Labels in a target's lines are removed here, so
that no later code can see one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from broker.errors import SettingsError
from broker.settings import KafkaSettings
from detector.system import SystemSpec
from trainer.data.files import read_lines
from trainer.data.line_labels import label_reader, label_remover
from trainer.data.lines import UNKNOWN_TIME_MS, SourceLine, TargetLine
from trainer.data.replay import Replay
from trainer.data.window_labels import WindowLabels, read_window_labels
from trainer.errors import SourceError
from trainer.replay_range import parse_bound
from trainer.settings import STARTER, SourceSettings, TargetSettings, TrainerSettings

Raw = tuple[bytes | None, int, str, int, int]
"""Value, record time, topic, partition, offset."""


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
        return _starter(settings.seed)
    assert source.spec is not None
    labels = None if source.labels is None else read_window_labels(source.labels)
    read, size = _open(source, source.spec, settings.kafka)
    read_label = label_reader(source.spec)

    def lines() -> Iterator[SourceLine]:
        for value, time_ms, topic, partition, offset in read():
            try:
                label = None if labels is not None else read_label(value)
            except SourceError as error:
                raise SourceError(f"{source.path}, line {offset}: {error}") from None
            yield SourceLine(value, time_ms, topic, partition, offset, label)

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
        for value, time_ms, topic, partition, offset in read():
            yield TargetLine(remove_label(value), time_ms, topic, partition, offset)

    return Target(target.spec, lines, size)


def _starter(seed: int) -> Source:
    from trainer.data.starter import starter_source

    _, spec = starter_source(seed)
    return Source(spec, lambda: iter(starter_source(seed)[0]))


def _open(
    place: SourceSettings | TargetSettings, spec: SystemSpec, kafka: KafkaSettings
) -> tuple[Callable[[], Iterator[Raw]], int | None]:
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
    return lambda: _topic_lines(replay, place.topic or ""), replay.offsets


def _file_lines(path: Path, spec: SystemSpec) -> Iterator[Raw]:
    for number, line in enumerate(read_lines(path, spec.max_record_bytes)):
        yield line, UNKNOWN_TIME_MS, path.name, 0, number


def _topic_lines(replay: Replay, topic: str) -> Iterator[Raw]:
    for record in replay:
        yield record.value, record.timestamp_ms, topic, record.partition, record.offset
