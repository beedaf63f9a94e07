"""Rows of the result from the outcomes of cells, and paired differences between methods."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np

from bench.accuracy.cells import Outcome
from bench.accuracy.scores import Scores, clustered, figures

_RESAMPLES = 2_000
_LOW, _HIGH = 0.025, 0.975
_DIGITS = 4

Seeds = Sequence[Sequence[Outcome]]
"""Outcomes by seed and fold."""


def row(head: Mapping[str, Any], seeds: Seeds) -> dict[str, Any]:
    """A row: figures of each seed's pooled folds, as means over the seeds; costs as means per seed."""
    found = [figures(Scores.pooled([outcome.scores for outcome in folds])) for folds in seeds]
    result = dict(head)
    for name in found[0]:
        result[name] = round(mean(one[name] for one in found), _DIGITS)
        if name == "f1":
            result["f1_sd"] = round(stdev(one[name] for one in found), _DIGITS) if len(found) > 1 else 0.0
    result["llm_answers"] = round(mean(one.facts["llm_answers"] for folds in seeds for one in folds))
    for name in ("seconds", "cpu_seconds"):
        result[name] = round(mean(sum(one.facts[name] for one in folds) for folds in seeds), 1)
    result["peak_rss_bytes"] = max(one.facts["peak_rss_bytes"] for folds in seeds for one in folds)
    return result


def paired(head: Mapping[str, Any], ours: Seeds, other: Seeds) -> dict[str, Any]:
    """Difference of F1, ours less the other's, on the same windows, with its 95% interval by bootstrap over signatures.

    A resample draws signatures with replacement, the same ones for both methods and all seeds; the difference is the
    mean over the seeds.
    """
    left, right = ([Scores.pooled([one.scores for one in folds]) for folds in seeds] for seeds in (ours, other))
    count = 1 + max(int(scores.cluster.max()) for scores in (*left, *right))
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1.0 / count), _RESAMPLES)
    weights = np.vstack([np.ones(count), drawn])
    differences = np.mean(
        [
            _f1(weights @ clustered(mine, count)) - _f1(weights @ clustered(theirs, count))
            for mine, theirs in zip(left, right, strict=True)
        ],
        axis=0,
    )
    low, high = np.quantile(differences[1:], (_LOW, _HIGH))
    return {
        **head,
        "difference": round(float(differences[0]), _DIGITS),
        "low": round(float(low), _DIGITS),
        "high": round(float(high), _DIGITS),
    }


def _f1(counts: np.ndarray) -> np.ndarray:
    hits, false, misses = counts.T
    whole = 2.0 * hits + false + misses
    return np.asarray(np.divide(2.0 * hits, whole, out=np.zeros_like(hits), where=whole > 0))
