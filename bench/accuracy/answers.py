"""Labellers of the benchmark: recorded answers, the shipped labeller, and the truth with noise.

Each gives a probability per distinct window. Training gets the answers of the pool's windows alone.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.accuracy.data.windows import Floats, LabelledWindows
from bench.accuracy.task import Task, example_id
from bench.errors import MisuseError
from bench.recorded import RecordedAnswer
from detector.model.calibration import sigmoid
from trainer.labelling.base import Answer, Question
from trainer.labelling.grouping import label_groups

LABELLERS = ("default", "recorded", "oracle-noise")
_NO_ANSWER = np.nextafter(0.5, 0.0)
_TRUE_POSITIVES = 0.98
_FALSE_POSITIVES = (0.87, 0.167)
"""Chance that a normal signature is called anomalous without and with similar examples: what the paper's figures for an
LLM without and with retrieval come to (BGL, where it states both at one share of anomalies)."""
_CONFIDENCE = 0.9
_NEAREST = 3


def recorded(task: Task) -> Floats:
    """The recorded answer about each row."""
    book = task.windows.book
    if book is None:
        raise MisuseError(
            f"--labeller recorded needs recorded answers (llm_labels.jsonl), got none for {task.windows.system}"
        )
    found = [book.answer(events) for events in task.windows.published]
    return np.array([np.nan if answer is None else _probability(answer) for answer in found])


def shipped(task: Task) -> Floats:
    """What the default labeller says about each row, given the pool; an abstention is no answer."""
    from bench.accuracy.training import context_of

    context = context_of(task)
    windows = task.windows
    questions = [
        Question(
            group=str(row),
            windows=max(1, int(task.pool[row])),
            runs=(runs,),
            weights=(max(1, int(task.pool[row])),),
            texts={event: windows.texts[event] for event, _ in runs},
            example_window_ids=(example_id(windows.system, row),),
        )
        for row, runs in enumerate(windows.runs)
        if runs
    ]
    values = np.full(len(windows.runs), np.nan)
    for question, answer in zip(questions, context.make_labeller(1).label(questions), strict=True):
        values[int(question.group)] = _probability(answer)
    return values


def oracle_noise(labelled: LabelledWindows) -> Callable[[Task], Floats]:
    """The truth with errors per signature, fewer false alarms where the pool holds similar signatures."""
    windows = labelled.windows
    clusters = windows.clusters
    total = np.bincount(clusters[windows.row])
    share = np.bincount(clusters[windows.row], weights=labelled.anomalous) / np.maximum(total, 1)

    def answer(task: Task) -> Floats:
        similarity = _similarity(task)
        low, high = (np.log(rate / (1.0 - rate)) for rate in _FALSE_POSITIVES)
        false = sigmoid(low + (high - low) * similarity)
        anomalous = share[clusters] >= 0.5  # noqa: PLR2004
        drawn = np.array([_uniform(f"{task.seed} {windows.system} {cluster}") for cluster in clusters])
        said = np.where(anomalous, drawn < _TRUE_POSITIVES, drawn < false)
        return np.where(said, _CONFIDENCE, 1.0 - _CONFIDENCE)

    return answer


def write_answers(path: Path, task: Task, probabilities: Floats, budget: int) -> int:
    """Write answers about the pool for the trainer's `recorded` labeller, one per question; their number.

    The trainer asks about groups of windows, and its labeller lets all recorded answers of a group vote. An LLM answers
    a question once, so only the group's most frequent window with an answer keeps its own.
    """
    corpus = task.systems.target
    known = {example_id(task.windows.system, int(row)): float(probabilities[row]) for row in np.flatnonzero(task.pool)}
    written = 0
    with path.open("w") as file:
        for group in label_groups(corpus, budget):
            windows = [window for member in group.members for window in corpus.signatures[member].example_window_ids]
            window = next((one for one in windows if not np.isnan(known[one])), None)
            if window is None:
                continue
            value = known[window]
            label = "anomalous" if value >= 0.5 else "normal"  # noqa: PLR2004
            line = {"window": window, "label": label, "confidence": round(max(value, 1.0 - value), 6)}
            file.write(json.dumps(line) + "\n")
            written += 1
    return written


def alone(probabilities: Floats) -> Floats:
    """Scores of the labeller itself: without an answer, just below the threshold."""
    return np.where(np.isnan(probabilities), _NO_ANSWER, probabilities)


def _probability(answer: Answer | RecordedAnswer) -> float:
    if answer.label == "abstain":
        return float("nan")
    return answer.confidence if answer.label == "anomalous" else 1.0 - answer.confidence


def _similarity(task: Task) -> Floats:
    """[n] mean cosine of each row's signature to the three nearest other signatures of the pool, 0 to 1."""
    clusters = task.windows.clusters
    _, first = np.unique(clusters, return_index=True)
    vectors = task.logs[first] / np.maximum(np.linalg.norm(task.logs[first], axis=1, keepdims=True), 1e-9)
    in_pool = np.bincount(clusters, weights=task.pool, minlength=len(first)) > 0
    if not in_pool.any():
        return np.zeros(len(clusters))
    cosines = vectors @ vectors[in_pool].T
    cosines[np.flatnonzero(in_pool), np.arange(int(in_pool.sum()))] = 0.0  # not itself
    nearest = np.sort(cosines, axis=1)[:, -_NEAREST:]
    return np.asarray(np.clip(nearest.mean(axis=1), 0.0, 1.0)[clusters], np.float64)


def _uniform(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13
