"""Baselines without a label or an answer; thresholds follow from the pool alone."""

from collections import defaultdict
from itertools import pairwise

import numpy as np

from bench.accuracy.data.windows import Floats
from bench.accuracy.task import Task, Verdicts
from bench.metrics import KEYWORDS
from detector.model.runs import Runs
from trainer.labelling.rules.lexicon import severity

_RARE = 0.01
_SEVERE = 0.6
_VARIANCE = 0.95
_Q_NORMAL = 3.0902
"""Quantile of the normal distribution that one window in a thousand exceeds (Q-statistic of Jackson and Mudholkar)."""
_TAIL = 0.99
_DRAWN = 20_000
_TREES = 200
_FOREST_THRESHOLD = 0.5  # of the isolation forest's paper
_LEAST_CHANCE = 1e-6


def new_event(task: Task) -> Verdicts:
    """Windows that hold an event that the pool lacks."""
    return Verdicts(_held(task, _windows_of_events(task) == 0).astype(float))


def rare_event(task: Task) -> Verdicts:
    """Windows that hold an event of less than one percent of the pool's windows."""
    return Verdicts(_held(task, _windows_of_events(task) < _RARE).astype(float))


def keyword(task: Task) -> Verdicts:
    """Windows in which a text holds a severity of warning or above, or a word that people search logs for."""
    texts = [task.windows.texts[event].encode() for event in task.windows.events]
    return Verdicts(_held(task, np.array([KEYWORDS.search(text) is not None for text in texts])).astype(float))


def severity_list(task: Task) -> Verdicts:
    """The most alarming text of the window, by the trainer's list of words."""
    values = np.array([severity(task.windows.texts[event]) for event in task.windows.events])
    present = task.windows.counts[task.test] > 0
    return Verdicts(np.where(present, values, -np.inf).max(axis=1), _SEVERE)


def always(task: Task) -> Verdicts:
    """Every window."""
    return Verdicts(np.ones(len(task.test)))


def pca(task: Task) -> Verdicts:
    """Squared residual of log counts outside the components with 95% of the pool's variance; Q-statistic."""
    mean = task.weights @ task.logs
    centered = task.logs - mean
    values, vectors = np.linalg.eigh((centered * task.weights[:, None]).T @ centered)
    order = np.argsort(-values)
    values = np.maximum(values[order], 0.0)
    kept = int(np.searchsorted(np.cumsum(values), _VARIANCE * values.sum())) + 1
    basis = vectors[:, order[:kept]]
    tested = centered[task.test]
    return Verdicts(((tested - tested @ basis @ basis.T) ** 2).sum(axis=1), _q_statistic(values[kept:]))


def isolation_forest(task: Task) -> Verdicts:
    """Isolation forest on log counts of a sample of the pool."""
    from sklearn.ensemble import IsolationForest

    rng = np.random.default_rng([task.seed, 4])
    drawn = rng.choice(len(task.weights), min(_DRAWN, int(task.pool.sum())), p=task.weights)
    forest = IsolationForest(n_estimators=_TREES, random_state=task.seed).fit(task.logs[drawn])
    return Verdicts(-forest.score_samples(task.logs[task.test]), _FOREST_THRESHOLD)


def bigram_surprise(task: Task) -> Verdicts:
    """The least likely step from one event to another; alarming above 99% of the pool's windows."""
    pairs: defaultdict[tuple[str, str], float] = defaultdict(float)
    singles: defaultdict[str, float] = defaultdict(float)
    for row in np.flatnonzero(task.pool):
        for step in _steps(task.windows.runs[int(row)]):
            pairs[step] += task.weights[row]
            singles[step[0]] += task.weights[row]

    def surprise(row: int) -> float:
        chances = [
            pairs.get(step, 0.0) / max(singles.get(step[0], 0.0), _LEAST_CHANCE)
            for step in _steps(task.windows.runs[row])
        ]
        return -float(np.log(max(min(chances), _LEAST_CHANCE)))

    rows = np.flatnonzero(task.pool)
    limit = weighted_quantile(np.array([surprise(int(row)) for row in rows]), task.weights[rows], _TAIL)
    return Verdicts(np.array([surprise(int(row)) for row in task.test]), float(np.nextafter(limit, np.inf)))


def weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    """The smallest value that at least `share` of the weight does not exceed."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) >= share * weights.sum() - 1e-12
    return float(values[order][int(np.argmax(reached))])


def _q_statistic(rest: Floats) -> float:
    """Limit of the residual from the variances of the components that are left out."""
    sums = [float((rest**power).sum()) for power in (1, 2, 3)]
    if sums[1] <= 0.0 or sums[0] <= 0.0:
        return float(np.nextafter(0.0, 1.0))
    h = max(1.0 - 2.0 * sums[0] * sums[2] / (3.0 * sums[1] ** 2), 1e-3)
    inner = _Q_NORMAL * np.sqrt(2.0 * sums[1] * h**2) / sums[0] + 1.0 + sums[1] * h * (h - 1.0) / sums[0] ** 2
    return float(sums[0] * max(inner, 1e-9) ** (1.0 / h))


def _windows_of_events(task: Task) -> Floats:
    """[E] share of the pool's windows that hold each event."""
    share: Floats = task.weights @ (task.windows.counts > 0)
    return share


def _held(task: Task, events: np.ndarray) -> np.ndarray:
    return np.asarray((task.windows.counts[task.test][:, events] > 0).any(axis=1))


def _steps(runs: Runs) -> list[tuple[str, str]]:
    """From each event to the next different one, from the start and to the end."""
    names = ["^", *(event for event, _ in runs), "$"]
    return list(pairwise(names))
