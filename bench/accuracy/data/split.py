"""Protocols: which windows may train (the pool) and which are judged (the test part).

P1  in order of time, first half and second half.       P3  random halves.
P4  as many anomalous as normal windows, trained on and judged on the same ones; it looks at the truth to draw them.
P5  five folds of whole signatures, each hidden from pool and labeller; the folds are pooled before any figure.
"""

from dataclasses import dataclass

import numpy as np

from bench.accuracy.data.windows import Bools, Ints, LabelledWindows
from bench.errors import MisuseError

PROTOCOLS = ("P1", "P3", "P4", "P5")
FOLDS = 5


@dataclass(frozen=True)
class Split:
    """[w] whether a window is in the pool, and in the test part."""

    pool: Bools
    test: Bools


def folds_of(protocol: str) -> int:
    """Number of parts that a run of the protocol has."""
    return FOLDS if protocol == "P5" else 1


def split(labelled: LabelledWindows, protocol: str, seed: int, fold: int = 0) -> Split:
    """The split of a protocol; the same seed gives the same one. Only P4 looks at the truth.

    Raises:
        MisuseError: P1 of data without times.
    """
    windows = labelled.windows
    rng = np.random.default_rng([seed, int(protocol[1:])])
    if protocol == "P1":
        if windows.history is None:
            raise MisuseError(
                f"--protocol P1 must be of --target bgl, whose raw lines have usable times, got {windows.system}: the "
                "other raw logs are cut off, shuffled or without times that order their sequences"
            )
        return Split(windows.history, ~windows.history)
    if protocol == "P4":
        balanced = _balanced(labelled.anomalous, rng)
        return Split(balanced, balanced)
    if protocol == "P5":
        hidden = _fold_of(windows.clusters, rng)[windows.row] == fold
        return Split(~hidden, hidden)
    pool = np.zeros(len(windows.row), np.bool_)
    pool[rng.permutation(len(pool))[: len(pool) // 2]] = True
    return Split(pool, ~pool)


def resampled(labelled: LabelledWindows, part: Split, share: float, seed: int) -> Split:
    """The split with windows of one class left out at random, so that both parts have a share of anomalies.

    Raises:
        MisuseError: a part holds no window then.
    """
    rng = np.random.default_rng([seed, 6])
    return Split(*(_with_share(labelled.anomalous, held, share, rng) for held in (part.pool, part.test)))


def _with_share(anomalous: Bools, held: Bools, share: float, rng: np.random.Generator) -> Bools:
    bad, good = np.flatnonzero(held & anomalous), np.flatnonzero(held & ~anomalous)
    most_bad = round(len(good) * share / (1.0 - share))
    if len(bad) > most_bad:
        bad = rng.permutation(bad)[:most_bad]
    elif share:
        good = rng.permutation(good)[: round(len(bad) * (1.0 - share) / share)]
    if not len(bad) + len(good):
        raise MisuseError(f"--anomaly-share must leave windows, got {share} with none")
    kept = np.zeros(len(held), np.bool_)
    kept[bad] = kept[good] = True
    return kept


def _balanced(anomalous: Bools, rng: np.random.Generator) -> Bools:
    classes = [np.flatnonzero(anomalous), np.flatnonzero(~anomalous)]
    size = min(map(len, classes))
    chosen = np.zeros(len(anomalous), np.bool_)
    for rows in classes:
        chosen[rng.permutation(rows)[:size]] = True
    return chosen


def _fold_of(clusters: Ints, rng: np.random.Generator) -> Ints:
    count = int(clusters.max()) + 1
    fold = np.empty(count, np.int64)
    fold[rng.permutation(count)] = np.arange(count) % FOLDS
    return fold[clusters]
