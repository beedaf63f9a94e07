"""`python -m bench train`: the cost of a training on all windows of a system, in a process of its own."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from structlog.testing import capture_logs

from bench.accuracy.answers import recorded, shipped
from bench.accuracy.cells import peak_memory_bytes
from bench.accuracy.data import datasets
from bench.accuracy.task import Task
from bench.accuracy.training import train_model
from bench.errors import MisuseError


@dataclass(frozen=True)
class TrainOptions:
    """Options of a run; `source` and `target` are systems of `data`, the source may be `starter`.

    Attributes:
        training: settings in place of the shipped ones, for a smaller run in tests.
    """

    data: Path
    source: str
    target: str
    labeller: str
    seed: int = 0
    training: Mapping[str, Any] = field(default_factory=dict)


def run(options: TrainOptions) -> dict[str, Any]:
    """Train on all windows of the target; what it cost, reading included.

    Raises:
        MisuseError: source and target are the same.
    """
    if options.source == options.target:
        raise MisuseError(f"--source must differ from --target, got {options.source!r} for both")
    started = time.monotonic()
    windows = datasets.named(options.data, options.target).windows
    task = Task(
        windows=windows,
        pool=windows.counts_of(np.ones(len(windows.row), np.bool_)),
        test=np.zeros(0, np.int64),
        seed=options.seed,
        source=lambda: datasets.corpus_of(options.data, options.source, options.seed),
        labeller=options.labeller,
        answer=recorded if options.labeller == "recorded" else shipped,
        training=options.training,
    )
    with capture_logs():  # standard output is for the result
        trained = train_model(task)
    return {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(time.process_time(), 1),
        "peak_rss_bytes": peak_memory_bytes(),
        "windows": trained.report.counts["windows"],
        "signatures": trained.report.counts["signatures"],
        "llm_answers": trained.answers,
        "model_sha256": trained.report.sha256,
    }
