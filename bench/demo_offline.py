"""The demo's data without Kafka: corpora for studies of labelling, and training and scoring in one process.

`python -m bench.demo_offline --seeds 1 2 3` trains on the files of each seed like `fusionlog train`, scores the live
windows with the artifact and prints one JSON line per seed: the figures of the demo, by kind of failure.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from detector.model.detection_model import DetectionModel
from detector.model.runs import Runs, run_lengths
from detector.model.scoring import Scorer
from detector.parsing.drain import IncrementalDrain
from detector.parsing.templates import TemplateMatcher
from detector.partition_reader import InputRecord, PartitionReader, ReadLine, SystemReader
from detector.system import SystemSpec
from detector.windowing.cutter import Window
from fusionlog.demo.generator import DemoData, GeneratedLine, generate, history_truth, write_source
from fusionlog.demo.scorer import ScoredWindow, score
from trainer.data.signatures import Corpus, Signature


def templates_of(lines: Iterable[GeneratedLine], spec: SystemSpec) -> TemplateMatcher:
    """The templates that Drain learns from the lines."""
    drain, reader = IncrementalDrain(), SystemReader(spec, TemplateMatcher(()))
    # An event without a template has the masked line for its text.
    for masked in dict.fromkeys(_read(reader, line).event.text for line in lines):
        drain.learn(masked)
    return TemplateMatcher(drain.templates())


def windows_of(
    lines: Sequence[GeneratedLine], spec: SystemSpec, matcher: TemplateMatcher
) -> tuple[list[Window], dict[str, str], set[str]]:
    """Windows of all partitions, the text of every event, and the ids of those that match no template."""
    system, texts, novel = SystemReader(spec, matcher), dict[str, str](), set[str]()
    records: dict[int, list[InputRecord]] = {}
    for offset, line in enumerate(lines):
        records.setdefault(line.partition, []).append(InputRecord(offset, line.text.encode(), line.time_ms))
    windows: list[Window] = []
    for partition, held in records.items():
        reader = PartitionReader(system, "demo", partition)
        batch = reader.read(held)
        windows += batch.closed + reader.flush()
        for read in batch.lines:
            texts[read.event.id] = read.event.text
            if read.event.novel:
                novel.add(read.event.id)
    return windows, texts, novel


def corpus_of(
    system: str, windows: Sequence[Window], texts: Mapping[str, str], labels: Mapping[str, bool] | None = None
) -> Corpus:
    """Distinct windows as a corpus; `labels` (window key → anomalous) for a source only."""
    members: dict[Runs, list[Window]] = {}
    for window in windows:
        members.setdefault(run_lengths(window.event_ids), []).append(window)
    signatures = [
        Signature(
            id=f"{number:016x}",
            runs=runs,
            windows=len(group),
            example_window_ids=tuple(window.id for window in group[:64]),
            label=None if labels is None else sum(labels[window.key] for window in group) / len(group),
        )
        for number, (runs, group) in enumerate(members.items())
    ]
    return Corpus(system, dict(texts), signatures, sum(len(window.offsets) for window in windows))


def corpora(seed: int) -> tuple[Corpus, Corpus, dict[str, str]]:
    """Labelled source, unlabelled history, and for evaluation only: window id → failure kind of the history."""
    data = generate(seed)
    source_lines = [GeneratedLine(text, 0, 0, "") for text, _ in data.source]
    templates = templates_of(source_lines, data.source_spec)
    source_windows, source_texts, _ = windows_of(source_lines, data.source_spec, templates)
    reader = SystemReader(data.source_spec, templates)
    labels = {
        key: failed
        for line, (_, failed) in zip(source_lines, data.source, strict=True)
        for key in _read(reader, line).keys
    }
    source = corpus_of(data.source_spec.name, source_windows, source_texts, labels)
    windows, texts, _ = windows_of(data.history, data.target_spec, templates_of(data.history, data.target_spec))
    truth = history_truth(seed)
    return (
        source,
        corpus_of(data.target_spec.name, windows, texts),
        {window.id: truth[window.key] for window in windows},
    )


def detect(model: DetectionModel, data: DemoData) -> tuple[list[ScoredWindow], list[Window], dict[str, str]]:
    """The live windows with the model's verdicts, and the text of every event."""
    spec = data.target_spec
    windows, texts, novel = windows_of(data.live, spec, model.matcher)
    scorer = Scorer(model)
    scores = scorer.score([run_lengths(window.event_ids) for window in windows], texts)
    scored = [
        ScoredWindow(
            key=window.key,
            alerted=scorer.is_anomalous(float(value)),
            lines=tuple(data.live[offset].text for offset in window.offsets),
            new_template=not novel.isdisjoint(window.event_ids),
        )
        for window, value in zip(windows, scores, strict=True)
    ]
    return scored, windows, texts


def run(seed: int, folder: Path) -> dict[str, object]:
    """Train on the files of a seed and score its live part."""
    from detector.artifact.export import unpack
    from detector.artifact.folder import read_folder
    from trainer.recipe import train
    from trainer.settings import TrainerSettings

    data = generate(seed)
    source, history, out = folder / "source.jsonl", folder / "history.log", folder / "model"
    write_source(source, data)
    history.write_text("".join(line.text + "\n" for line in data.history), encoding="utf-8")
    settings = TrainerSettings.model_validate(
        {
            "source": {"path": str(source), "spec": data.source_spec.model_dump(mode="json")},
            "target": {"path": str(history), "spec": data.target_spec.model_dump(mode="json")},
            "seed": seed,
            "work_dir": str(folder / "work"),
            "out": str(out),
            "publish": False,
        }
    )
    started = time.monotonic()
    train(settings, None)
    seconds = time.monotonic() - started
    model = unpack(read_folder(out))
    scored, windows, texts = detect(model, data)
    false = Counter(
        texts[event_id]
        for verdict, window in zip(scored, windows, strict=True)
        if verdict.alerted and not data.truth[verdict.key]
        for event_id in set(window.event_ids)
    )
    result = {"seed": seed, "train_seconds": round(seconds, 1), **asdict(score(scored, data.truth))}
    return result | {"common_in_false_alarms": false.most_common(8)}


def main() -> None:
    """Print one JSON line per seed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1])
    for seed in arguments.parse_args().seeds:
        with tempfile.TemporaryDirectory(prefix="fusionlog-offline-") as folder:
            sys.stdout.write(json.dumps(run(seed, Path(folder))) + "\n")
            sys.stdout.flush()


def _read(reader: SystemReader, line: GeneratedLine) -> ReadLine:
    [read] = reader.lines(InputRecord(0, line.text.encode(), line.time_ms))
    return read


if __name__ == "__main__":
    main()
