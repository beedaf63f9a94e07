"""Invariant mining (Lou et al., USENIX ATC 2010): linear relations between counts that nearly all windows keep.

Relations of one event (`x = 0`), of two (`a x = b y`) and of three (`x = y + z`) are tried, with small whole
coefficients; an event of a smaller relation is left out of larger ones. A window is anomalous where it breaks one that
98% of the pool's windows keep.
"""

from dataclasses import dataclass
from itertools import combinations
from math import gcd

import numpy as np

from bench.accuracy.data.windows import Floats
from bench.accuracy.task import Task, Verdicts

_KEPT = 0.98  # as in the comparison of He et al., ISSRE 2016
_LARGEST = 3
_TRIPLES_OF = 60  # most frequent events; relations of three among them all are 103,000 to try


@dataclass(frozen=True)
class Invariant:
    """`coefficients` times the counts of `events` (columns) add up to 0."""

    events: tuple[int, ...]
    coefficients: tuple[int, ...]

    def broken(self, counts: Floats) -> np.ndarray:
        """[n] whether each row of counts [n, E] breaks it."""
        return np.asarray(counts[:, self.events] @ np.array(self.coefficients, np.float64) != 0)


def invariants(task: Task) -> Verdicts:
    """Number of relations that a window breaks; one is enough."""
    counts = task.windows.counts.astype(np.float64)
    found = mine(counts, task.weights)
    broken = np.zeros(len(task.test))
    for one in found:
        broken += one.broken(counts[task.test])
    return Verdicts(broken, 1.0, facts={"invariants": len(found)})


def mine(counts: Floats, weights: Floats) -> list[Invariant]:
    """Relations that 98% of the weight keeps.

    Args:
        counts: [n, E] lines of each event.
        weights: [n] share of the windows.
    """
    held = weights @ (counts > 0)
    absent = held <= 1.0 - _KEPT
    found = [Invariant((int(event),), (1,)) for event in np.flatnonzero(absent)]
    frequent = np.flatnonzero(~absent)
    represented: set[int] = set()  # an event that is a multiple of an earlier one adds nothing to a relation of three
    for left, right in combinations(map(int, frequent), 2):
        pair = next((one for one in _pairs(left, right) if _keeps(one, counts, weights)), None)
        if pair is not None:
            found.append(pair)
            represented.add(right)
    rest = sorted((int(event) for event in frequent if event not in represented), key=lambda event: -held[event])
    for three in combinations(sorted(rest[:_TRIPLES_OF]), 3):
        found += [one for one in _triples(three) if _keeps(one, counts, weights)]
    return found


def _pairs(left: int, right: int) -> list[Invariant]:
    sizes = range(1, _LARGEST + 1)
    return [Invariant((left, right), (a, -b)) for a in sizes for b in sizes if gcd(a, b) == 1]


def _triples(events: tuple[int, ...]) -> list[Invariant]:
    return [Invariant(events, signs) for signs in ((1, -1, -1), (-1, 1, -1), (-1, -1, 1))]


def _keeps(one: Invariant, counts: Floats, weights: Floats) -> bool:
    return float(weights[~one.broken(counts)].sum()) >= _KEPT
