"""A tiny training run: a labelled and an unlabelled system of orders in files, with workers in this process."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from detector.system import SystemSpec, WindowSpec
from trainer.context import TrainingContext
from trainer.settings import TrainerSettings
from trainer.testing import TEXTS, history
from trainer.workers.local import Workers, local_workers

SPEC = SystemSpec(
    name="shop", key_pattern=r"order=(\w+)", time_fields=("time",), window=WindowSpec(kind="session", idle_seconds=30)
)


def log_lines(seed: int, count: int, words: Mapping[str, str] = TEXTS) -> Iterator[tuple[dict[str, str], bool]]:
    """JSON lines of orders, and whether the order of each fails."""
    rng = Random(seed)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    windows, kinds = history(seed, count)
    for number, (events, kind) in enumerate(zip(windows, kinds, strict=True)):
        for step, event in enumerate(events):
            text = words[event].replace("<NUM>", str(rng.randint(1, 999)))
            time = (start + timedelta(seconds=100 * number + step)).isoformat()
            yield {"time": time, "message": f"{text} order=o{number}"}, bool(kind)


def tiny_settings(folder: Path, **changes: Any) -> TrainerSettings:
    """Settings of a run of a few seconds; writes its files."""
    with (folder / "source.jsonl").open("w") as file:
        words = {event: text.replace("parcel", "box") for event, text in TEXTS.items()}
        for line, bad in log_lines(1, 150, words):
            file.write(json.dumps({**line, "label": "anomalous" if bad else "normal"}) + "\n")
    with (folder / "target.jsonl").open("w") as file:
        for line, _ in log_lines(2, 250):
            file.write(json.dumps(line) + "\n")
    spec = SPEC.model_dump(mode="json")
    return TrainerSettings.model_validate(
        {
            "source": {"path": str(folder / "source.jsonl"), "spec": {**spec, "name": "old-shop"}},
            "target": {"path": str(folder / "target.jsonl"), "spec": spec},
            "work_dir": folder / "work",
            "out": folder / "out",
            "publish": False,
            "meta_steps": 5,
            "final_steps": 60,
            "hidden": 16,
            "rounds": 2,
            **changes,
        }
    )


def keep_ten_windows(path: Path) -> None:
    """Keep only the lines of the first ten orders in the file of a target."""
    keys = [f'order=o{number}"' for number in range(10)]
    path.write_text("".join(line for line in path.open() if any(key in line for key in keys)))


def in_process(context: TrainingContext, _settings: TrainerSettings) -> Workers:
    """Workers without Ray."""
    return local_workers(context)
