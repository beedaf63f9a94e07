"""Rows of the result from the outcomes of cells, and paired differences between methods."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np

from bench.accuracy.cells import Outcome
from bench.accuracy.data.windows import Floats
from bench.accuracy.scores import Scores, clustered, figures

_AT_ONCE, _TIMES = 100, 20  # 2,000 resamples, in parts that fit into memory whatever the number of signatures
_LOW, _HIGH = 0.025, 0.975
_DIGITS = 4

Seeds = Sequence[Sequence[Outcome]]
"""Outcomes by seed and fold."""


def row(head: Mapping[str, Any], seeds: Seeds) -> dict[str, Any]:
    """A row: figures of each seed's pooled folds, as means over the seeds; `f1_sd` is None for one seed.

    Answers and costs are sums over the folds, as means over the seeds.
    """
    found = [figures(Scores.pooled([outcome.scores for outcome in folds])) for folds in seeds]
    result = dict(head)
    for name in found[0]:
        result[name] = round(mean(one[name] for one in found), _DIGITS)
        if name == "f1":
            result["f1_sd"] = round(stdev(one[name] for one in found), _DIGITS) if len(found) > 1 else None
    result["llm_answers"] = round(mean(sum(one.facts["llm_answers"] for one in folds) for folds in seeds))
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
    judged = np.unique(np.concatenate([scores.cluster for scores in (*left, *right)]))
    count = int(judged[-1]) + 1
    tables = [
        (clustered(mine, count)[judged], clustered(theirs, count)[judged])
        for mine, theirs in zip(left, right, strict=True)
    ]
    rng = np.random.default_rng(0)
    chances = np.full(len(judged), 1.0 / len(judged))
    resamples = [_difference(rng.multinomial(len(judged), chances, _AT_ONCE), tables) for _ in range(_TIMES)]
    low, high = np.quantile(np.concatenate(resamples), (_LOW, _HIGH))
    whole = _difference(np.ones((1, len(judged))), tables)
    return {
        **head,
        "difference": round(float(whole[0]), _DIGITS),
        "low": round(float(low), _DIGITS),
        "high": round(float(high), _DIGITS),
    }


def _difference(weights: np.ndarray, tables: Sequence[tuple[Floats, Floats]]) -> Floats:
    """[resamples] mean over the seeds of the difference of F1; weights [resamples, signatures]."""
    found: Floats = np.mean([_f1(weights @ mine) - _f1(weights @ theirs) for mine, theirs in tables], axis=0)
    return found


def _f1(counts: np.ndarray) -> np.ndarray:
    hits, false, misses = counts.T
    whole = 2.0 * hits + false + misses
    return np.asarray(np.divide(2.0 * hits, whole, out=np.zeros_like(hits), where=whole > 0))
