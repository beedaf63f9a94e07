"""Cells: one method on one part of one split, kept in a folder so that a run that was stopped goes on where it was."""

import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from structlog.testing import capture_logs

from bench.accuracy.answers import oracle_noise, recorded, shipped
from bench.accuracy.data.split import resampled, split
from bench.accuracy.data.windows import Floats, LabelledWindows
from bench.accuracy.methods import METHODS
from bench.accuracy.scores import Scores
from bench.accuracy.task import Task, Verdicts
from bench.result import ROOT
from trainer.data.signatures import Corpus

_BENCH_CODE = ("bench/accuracy", "bench/recorded.py", "bench/metrics.py")
_AFTERWARDS = {"options.py", "run.py", "table.py", "details.py", "whole.py", "report"}
_TRAINER_CODE = ("trainer", "detector", "loggen", "schemas")


@dataclass(frozen=True)
class Cell:
    """One method on one part of one split.

    Attributes:
        source, labeller: "" for a method that depends on neither.
        fold: number of the part.
        budget: answers at most, None for what the shipped settings ask for.
        vectors: name of the word vectors.
        share: of anomalies in pool and test part, by leaving windows out; None for all windows.
    """

    target: str
    source: str
    method: str
    labeller: str
    protocol: str
    seed: int
    fold: int
    budget: int | None
    vectors: str
    share: float | None = None

    def path(self, folder: Path, data: str) -> Path:
        """The file of the cell, which names all that its content depends on, code and data included."""
        method = METHODS[self.method]
        code = code_hash(trainer=method.trains or method.reads or (method.asks and self.labeller == "default"))
        digest = hashlib.sha256(json.dumps([asdict(self), code, data]).encode()).hexdigest()[:12]
        return folder / self.target / self.protocol / f"{self.method}-s{self.seed}-{digest}.npz"


@dataclass(frozen=True)
class Outcome:
    """The content of a cell: scores, and what they cost."""

    scores: Scores
    facts: dict[str, Any]


class Inputs:
    """The data of a run, each part read once.

    Args:
        target: with its truth, which is joined after a method has judged.
        source: reads the labelled source; the argument is the seed.
        vectors: file of word vectors.
        training: settings in place of the shipped ones, for a smaller run in tests.
    """

    def __init__(
        self,
        target: LabelledWindows,
        source: Callable[[int], Corpus],
        vectors: Path | None = None,
        training: Mapping[str, Any] | None = None,
    ) -> None:
        self.target = target
        self._source = source
        self._vectors = vectors
        self._training = dict(training or {})
        self._part: tuple[object, ...] = ()
        self._tasks: dict[tuple[object, ...], Task] = {}

    def run(self, cell: Cell) -> Outcome:
        """Judge with the cell's method, then join the truth."""
        labelled, windows = self.target, self.target.windows
        parts = split(labelled, cell.protocol, cell.seed, cell.fold)
        if cell.share is not None:
            parts = resampled(labelled, parts, cell.share, cell.seed)
        in_test = windows.counts_of(parts.test)
        task = self._task(cell, windows.counts_of(parts.pool), np.flatnonzero(in_test))
        if METHODS[cell.method].trains:
            _ = task.systems  # read before the clock starts: the next seed finds the source read already
        started, cpu = time.monotonic(), time.process_time()
        forget_peak_memory()
        with capture_logs() as logs:  # a training logs on standard output, which is for the result
            verdicts = METHODS[cell.method].judge(task)
        cost = {
            "seconds": round(time.monotonic() - started, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "peak_rss_bytes": peak_memory_bytes(),
        }
        anomalous = windows.counts_of(parts.test & labelled.anomalous)[task.test]
        return Outcome(
            _joined(task, verdicts, in_test[task.test] - anomalous, anomalous),
            facts_of(verdicts) | cost | {"rounds": rounds_of(logs)},
        )

    def _task(self, cell: Cell, pool: np.ndarray, test: np.ndarray) -> Task:
        """The task; kept for the cells of one split, since its answers and counts are the same."""
        part = (cell.protocol, cell.seed, cell.fold, cell.share)
        if part != self._part:
            self._part = part
            self._tasks.clear()
        key = (cell.labeller, cell.source, cell.budget)
        if key not in self._tasks:
            self._tasks[key] = Task(
                windows=self.target.windows,
                pool=pool,
                test=test,
                seed=cell.seed,
                source=cache(lambda: self._source(cell.seed)),
                labeller=cell.labeller,
                answer=self._answer(cell.labeller),
                budget=cell.budget,
                vectors=self._vectors,
                training=self._training,
            )
        return self._tasks[key]

    def _answer(self, labeller: str) -> Callable[[Task], Floats]:
        if labeller == "oracle-noise":
            return oracle_noise(self.target)  # the one labeller that knows the truth
        return recorded if labeller == "recorded" else shipped


def run_or_read(cell: Cell, inputs: Inputs, folder: Path) -> Outcome:
    """The outcome of a cell: from the folder where it is there, else run and kept there."""
    path = cell.path(folder, inputs.target.windows.content_hash)
    if path.is_file():
        return _read(path)
    print(
        f"{cell.source or '-'} → {cell.target}: {cell.method}, {cell.protocol}, seed {cell.seed}",
        file=sys.stderr,
        flush=True,
    )
    outcome = inputs.run(cell)
    _write(path, cell, outcome)
    return outcome


@cache
def code_hash(*, trainer: bool) -> str:
    """Hash of the code that a cell depends on."""
    digest = hashlib.sha256()
    for name in (*_BENCH_CODE, *(_TRAINER_CODE if trainer else ())):
        place = ROOT / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if place.name == "accuracy" and path.relative_to(place).parts[0] in _AFTERWARDS:
                continue
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def forget_peak_memory() -> None:
    """Start the peak of this process' memory anew, where the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_bytes() -> int:
    """The largest resident size of this process since its start or `forget_peak_memory`."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def rounds_of(logs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Agreement with held-out answers after each fine-tuning, as the trainer logs it."""
    tuned = [entry for entry in logs if entry["event"] == "model.fine_tuned"]
    return [{"step": entry.get("step"), "guard": entry.get("guard"), "loss": entry.get("loss")} for entry in tuned]


def facts_of(verdicts: Verdicts) -> dict[str, Any]:
    """What a cell keeps beside the scores."""
    return {"llm_answers": verdicts.answers, "threshold": verdicts.threshold, **verdicts.facts}


def _joined(task: Task, verdicts: Verdicts, normal: np.ndarray, anomalous: np.ndarray) -> Scores:
    clusters = task.windows.clusters
    in_pool = np.bincount(clusters, weights=task.pool) > 0
    return Scores(
        row=task.test,
        cluster=clusters[task.test],
        score=verdicts.scores,
        alarm=verdicts.scores >= verdicts.threshold,
        normal=normal,
        anomalous=anomalous,
        unseen=~in_pool[clusters[task.test]],
    )


def _read(path: Path) -> Outcome:
    with np.load(path) as content:
        facts = json.loads(str(content["facts"]))
        scores = Scores(**{name: content[name] for name in Scores.__dataclass_fields__})
    return Outcome(scores, facts)


def _write(path: Path, cell: Cell, outcome: Outcome) -> None:
    """Write a cell; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = json.dumps(outcome.facts | {"cell": asdict(cell)})
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        np.savez_compressed(file, facts=np.array(facts), **outcome.scores.arrays())  # type: ignore[arg-type]
    os.replace(file.name, path)  # noqa: PTH105
