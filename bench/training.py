"""The training side of the run: settings file, recorded answers under the history's window ids, `fusionlog train`."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.datasets import SPECS, Source, Target
from bench.errors import MisuseError
from bench.recorded import AnswerBook, PublishedEvents, RecordedAnswer, write_answers
from detector.windowing.cutter import window_id
from testkit.kafka_io import Kafka
from testkit.lines import Place, RecordedLine
from testkit.processes import fusionlog_process
from testkit.reference_windows import RULES, ReferenceWindow, reference_windows

TRAIN_SECONDS = 3_600.0


def train(kafka: Kafka, prefix: str, source: Source, target: Target, work: Path, overrides: Mapping[str, Any]) -> float:
    """Train on what the history topic holds and publish; the seconds that it took.

    Settings in `overrides` replace the benchmark's.

    Raises:
        ProcessError: `fusionlog train` fails.
    """
    topic = target.history_topic
    ends = ",".join(f"p{partition}={end}" for partition, end in sorted(kafka.ends(topic).items()))
    labels = {} if source.labels is None else {"labels": str(source.labels)}
    settings = {
        "kafka": {"bootstrap_servers": kafka.servers},
        "topic_prefix": prefix,
        "store": "kafka://",
        "source": {"path": str(source.path), "spec": SPECS[source.name], **labels},
        "target": {"path": f"kafka://{topic}", "spec": SPECS[target.name], "to": ends},
        "labeller": "heuristic",
        "force": True,  # a poor history is measured, too
        "work_dir": str(work / "trainer"),
        **overrides,
    }
    config = work / "train.yaml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False))
    started = time.monotonic()
    with fusionlog_process(["train", "--config", str(config)], work / "train.log") as program:
        program.finish(TRAIN_SECONDS)
    return time.monotonic() - started


def recorded_answers(
    kafka: Kafka, data: Path, labels: Path, target: Target, places: Sequence[Place], path: Path
) -> dict[str, int]:
    """Write the recorded answers of the history's windows, by window id; the number of windows and of answers.

    Raises:
        MisuseError: the file has no answer for any of the windows.
    """
    book, published = AnswerBook.read(labels), PublishedEvents(data, target.name)
    lines = dict(zip(places, target.history, strict=True))
    topic = target.history_topic
    cuts = reference_windows(kafka.read_raw(topic), RULES[target.name])
    answers: list[tuple[str, RecordedAnswer]] = []
    for window in cuts:
        answer = book.answer(published.of(line.row, line.value) for line in lines_of(window, lines))
        if answer is not None:
            identity = window_id(target.name, window.key, topic, window.partition, window.offsets[0])
            answers.append((identity, answer))
    if not answers:
        raise MisuseError(f"--labels must answer windows of {target.name}, got {labels.name} without an answer")
    return {"windows": len(cuts), "answered": write_answers(path, answers)}


def lines_of(window: ReferenceWindow, lines: Mapping[Place, RecordedLine]) -> list[RecordedLine]:
    """The lines of a window."""
    return [lines[Place(window.partition, offset)] for offset in window.offsets]
