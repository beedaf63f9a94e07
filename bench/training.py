"""The training side of the run: settings file, recorded answers under the history's window ids, `fusionlog train`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench.datasets import Source, Target
from bench.errors import MisuseError
from bench.recorded import AnswerBook, PublishedEvents, RecordedAnswer, write_answers
from detector.windowing.cutter import window_id
from testkit.kafka_io import Kafka
from testkit.lines import Place, RecordedLine
from testkit.processes import fusionlog_process
from testkit.reference_windows import RULES, ReferenceWindow, reference_windows

TRAIN_SECONDS = 3_600.0


@dataclass(frozen=True)
class Training:
    """Settings for `fusionlog train`.

    Attributes:
        answers: recorded answers for the `recorded` labeller; None for the heuristic one.
        overrides: settings of the trainer that replace the benchmark's.
    """

    servers: str
    prefix: str
    source: Source
    target: Target
    history_topic: str
    history_ends: Mapping[int, int]
    seed: int
    work: Path
    answers: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """Content of the settings file."""
        ends = ",".join(f"p{partition}={end}" for partition, end in sorted(self.history_ends.items()))
        source: dict[str, Any] = {"path": str(self.source.path), "spec": self.source.spec}
        if self.source.labels is not None:
            source["labels"] = str(self.source.labels)
        settings: dict[str, Any] = {
            "kafka": {"bootstrap_servers": self.servers},
            "topic_prefix": self.prefix,
            "store": "kafka://",
            "source": source,
            "target": {"path": f"kafka://{self.history_topic}", "spec": self.target.spec, "to": ends},
            "labeller": "heuristic",
            "seed": self.seed,
            "work_dir": str(self.work / "trainer"),
        }
        if self.answers is not None:
            settings |= {"labeller": "recorded", "recorded": {"answers": str(self.answers)}}
        return settings | dict(self.overrides)

    def run(self) -> None:
        """Train and publish.

        Raises:
            BenchError: `fusionlog train` fails.
        """
        config = self.work / "train.yaml"
        config.write_text(yaml.safe_dump(self.settings(), sort_keys=False))
        with fusionlog_process(["train", "--config", str(config)], self.work / "train.log") as program:
            program.finish(TRAIN_SECONDS)


@dataclass(frozen=True)
class AnswerCount:
    """How many of the history's windows have a recorded answer."""

    windows: int
    answered: int


def recorded_answers(
    kafka: Kafka, data: Path, labels: Path, target: Target, topic: str, places: Sequence[Place], path: Path
) -> AnswerCount:
    """Write the recorded answers of the history part's windows, by window id.

    Raises:
        MisuseError: the file has no answer for any of the windows.
    """
    book, published = AnswerBook.read(labels), PublishedEvents(data, target.name)
    lines = lines_by_place(places, target.history)
    cuts = reference_windows(kafka.read_raw(topic), RULES[target.name])
    answers = [(_id(target.name, topic, window), _answer(book, published, window, lines)) for window in cuts]
    written = write_answers(path, ((window, answer) for window, answer in answers if answer is not None))
    if not written:
        raise MisuseError(f"--labels must answer windows of {target.name}, got {labels.name} without an answer")
    return AnswerCount(len(cuts), written)


def lines_by_place(places: Sequence[Place], lines: Sequence[RecordedLine]) -> dict[Place, RecordedLine]:
    """The line at each place, from the acknowledgements of the producer."""
    return dict(zip(places, lines, strict=True))


def lines_of(window: ReferenceWindow, lines: Mapping[Place, RecordedLine]) -> list[RecordedLine]:
    """The lines of a window."""
    return [lines[Place(window.partition, offset)] for offset in window.offsets]


def _answer(
    book: AnswerBook, published: PublishedEvents, window: ReferenceWindow, lines: Mapping[Place, RecordedLine]
) -> RecordedAnswer | None:
    return book.answer(published.of(line.row, line.value) for line in lines_of(window, lines))


def _id(system: str, topic: str, window: ReferenceWindow) -> str:
    return window_id(system, window.key, topic, window.partition, window.offsets[0])
