"""Baselines that learn from the same answers as the small model: look-up, neighbor, regression, forest, on counts."""

from dataclasses import dataclass

import numpy as np

from bench.accuracy.data.windows import Floats, Ints
from bench.accuracy.task import Task, Verdicts
from trainer.settings import TrainerSettings

_TREES = 200
_STEPS = 2_000


@dataclass(frozen=True)
class Answered:
    """The rows that may be learned from.

    Attributes:
        rows: [k] with an answer.
        anomalous: [k] the answer.
        probability: [k] that the row is anomalous, by the answer.
        asked: number of signatures that were asked about.
    """

    rows: Ints
    anomalous: np.ndarray
    probability: Floats
    asked: int


def answered(task: Task) -> Answered:
    """Answers about the most frequent signatures of the pool, within the budget of the shipped settings."""
    known = by_frequency(task, limit_of(task))
    rows = np.flatnonzero((task.pool > 0) & ~np.isnan(known))
    return Answered(rows, known[rows] >= 0.5, known[rows], task.answers_about(rows))  # noqa: PLR2004


def limit_of(task: Task) -> int:
    """Answers that may be asked for."""
    from trainer.labellers import LABELLERS

    if task.budget is not None:
        return task.budget
    name = TrainerSettings.model_fields["labeller"].default if task.labeller == "default" else "recorded"
    return LABELLERS[name].budget


def by_frequency(task: Task, limit: int) -> Floats:
    """[n] answers about the `limit` signatures with the most windows of the pool, others NaN."""
    windows = np.bincount(task.windows.clusters, weights=task.pool)
    return chosen(task, np.argsort(-windows, kind="stable"), limit)


def by_chance(task: Task, limit: int) -> Floats:
    """[n] answers about `limit` signatures drawn at random, others NaN."""
    order = np.random.default_rng([task.seed, 5]).permutation(int(task.windows.clusters.max()) + 1)
    return chosen(task, order, limit)


def by_length(task: Task, limit: int) -> Floats:
    """[n] answers about the `limit` longest signatures, others NaN."""
    clusters = task.windows.clusters
    lines = np.bincount(clusters, weights=task.windows.counts.sum(axis=1) * (task.pool > 0))
    rows = np.bincount(clusters, weights=task.pool > 0)
    return chosen(task, np.argsort(-lines / np.maximum(rows, 1), kind="stable"), limit)


def chosen(task: Task, order: Ints, limit: int) -> Floats:
    """[n] the answers about the first `limit` signatures of the pool in an order, others NaN."""
    in_pool = np.bincount(task.windows.clusters, weights=task.pool) > 0
    asked = np.zeros(len(in_pool), np.bool_)
    asked[order[in_pool[order]][:limit]] = True
    return np.where(asked[task.windows.clusters], task.answers, np.nan)


def dictionary(task: Task) -> Verdicts:
    """The answer about the same signature, the mean over its windows; normal where there is none."""
    known = answered(task)
    clusters = task.windows.clusters
    held, windows = clusters[known.rows], task.pool[known.rows]
    sums = np.bincount(held, weights=known.probability * windows, minlength=int(clusters.max()) + 1)
    total = np.bincount(held, weights=windows, minlength=len(sums))
    return Verdicts((sums / np.maximum(total, 1))[clusters[task.test]], answers=known.asked)


def knn(task: Task) -> Verdicts:
    """The answer about the row with the nearest log counts."""
    from sklearn.neighbors import NearestNeighbors

    known = answered(task)
    search = NearestNeighbors(n_neighbors=1).fit(task.logs[known.rows])
    nearest = search.kneighbors(task.logs[task.test], return_distance=False)[:, 0]
    return Verdicts(known.probability[nearest], answers=known.asked)


def logistic_regression(task: Task) -> Verdicts:
    """Logistic regression on log counts; a row weighs as much as it has windows."""
    from sklearn.linear_model import LogisticRegression

    return _fitted(task, LogisticRegression(max_iter=_STEPS))


def random_forest(task: Task) -> Verdicts:
    """Random forest on log counts; a row weighs as much as it has windows."""
    from sklearn.ensemble import RandomForestClassifier

    return _fitted(task, RandomForestClassifier(n_estimators=_TREES, random_state=task.seed))


def _fitted(task: Task, model: object) -> Verdicts:
    known = answered(task)
    if len(np.unique(known.anomalous)) < 2:  # noqa: PLR2004 - one class cannot be fitted, and is the verdict
        return Verdicts(np.full(len(task.test), float(known.anomalous.any())), answers=known.asked)
    model.fit(task.logs[known.rows], known.anomalous, sample_weight=task.pool[known.rows].astype(float))  # type: ignore[attr-defined]
    scores = model.predict_proba(task.logs[task.test])[:, 1]  # type: ignore[attr-defined]
    return Verdicts(np.asarray(scores, np.float64), answers=known.asked)
