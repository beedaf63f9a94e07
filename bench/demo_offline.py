"""The demo without Kafka: training and scoring in one process.

`python -m bench.demo_offline --seeds 1 2 3` trains on the files of each seed like `fusionlog train`, scores the live
windows with the artifact and prints one JSON line per seed: the figures of the demo, by kind of failure.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

from detector.model.detection_model import DetectionModel
from detector.model.runs import run_lengths
from detector.model.scoring import Scorer
from detector.parsing.parser import Event
from detector.partition_reader import InputRecord, PartitionReader, SystemReader
from detector.windowing.state import Window
from fusionlog.demo.generator import DemoData, generate, write_source
from fusionlog.demo.scorer import ScoredWindow, score


def detect(model: DetectionModel, data: DemoData) -> tuple[list[ScoredWindow], list[Window], dict[str, str]]:
    """The live windows with the model's verdicts, and the text of every event."""
    system = SystemReader(data.target_spec, model.matcher)
    records: defaultdict[int, list[InputRecord]] = defaultdict(list)
    for offset, line in enumerate(data.live):
        records[line.partition].append(InputRecord(offset, line.text.encode(), line.time_ms))
    windows: list[Window] = []
    events: dict[str, Event] = {}
    for partition, held in records.items():
        reader = PartitionReader(system, "demo", partition)
        batch = reader.read(held)
        windows += batch.closed + reader.flush()
        events |= {read.event.id: read.event for read in batch.lines}
    texts = {event.id: event.text for event in events.values()}
    scorer = Scorer(model)
    scores = scorer.score([run_lengths(window.event_ids) for window in windows], texts)
    scored = [
        ScoredWindow(
            key=window.key,
            alerted=scorer.is_anomalous(float(value)),
            lines=tuple(data.live[offset].text for offset in window.offsets),
            new_template=any(events[event_id].novel for event_id in window.event_ids),
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


if __name__ == "__main__":
    main()
