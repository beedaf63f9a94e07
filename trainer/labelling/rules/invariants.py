"""Invariants: rules that nearly all windows of a system keep, mined from its unlabelled windows.

A rule is mined if at most `MAX_BROKEN` of the windows it applies to break it, so that some anomalies in the corpus do
no harm. The rarer a rule is broken, the more surprising is a window that breaks it. Kinds of rule:

- `missing`: windows with A have B
- `order`: A begins before B
- `count`: A occurs exactly c times, or as often as B
- `ceiling`: A occurs at most c times
- `burst`: A occurs at most c times in a row
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trainer.labelling.rules.tables import ABSENT, Bools, Floats, Ints, Tables

MAX_BROKEN = 0.06
"""Largest share of windows that break a rule; above it, the rule is a habit rather than an invariant."""

RARE_SHARE = 0.02
"""Share of windows below which an event is too rare for limits of its own."""

_DECIDED = 0.97
"""Share of windows from which one of two events counts as the first."""

_MAX_INSTEAD = 0.6
"""Largest share of windows with A that have another event in place of B."""

_TAIL = 0.03
"""Largest share of windows in the tail that a ceiling cuts off."""

_MAX_EVENTS = 96
"""Rules between pairs are mined among this many most frequent events: 96² pairs of 20,000 windows take seconds."""


@dataclass(frozen=True)
class Rule:
    """A rule and how often the corpus breaks it.

    Attributes:
        kind: `missing`, `order`, `count`, `ceiling` or `burst`.
        subject: column of A.
        other: column of B, or -1.
        instead: column of C that may replace B (a renamed event, another path), or -1.
        limit: c, where the kind has one.
        support: number of windows that it applies to.
        broken: share of those that break it.
        total: number of windows of the corpus.
    """

    kind: str
    subject: int
    other: int
    limit: int
    support: float
    broken: float
    total: float
    instead: int = -1

    @property
    def surprise(self) -> float:
        """In nats: mean of -ln(share of breaking windows) among those that it applies to and among all.

        For the same failures, the rule of a small workflow is broken by a larger share of its windows.
        """
        breaking = self.broken * self.support + 0.5
        return float(-0.5 * np.log(breaking / (self.support + 1.0)) - 0.5 * np.log(breaking / (self.total + 1.0)))


def breaks(rule: Rule, tables: Tables) -> Bools:
    """[n] whether each window breaks `rule`."""
    counts = tables.counts
    present = counts[:, rule.subject] > 0
    if rule.kind == "missing":
        broken = present & (counts[:, rule.other] == 0)
        if rule.instead >= 0:
            broken &= counts[:, rule.instead] == 0
    elif rule.kind == "order":
        both = present & (counts[:, rule.other] > 0)
        broken = both & (tables.first[:, rule.subject] > tables.first[:, rule.other])
    elif rule.kind == "burst":
        broken = tables.longest[:, rule.subject] > rule.limit
    elif rule.other >= 0:
        broken = present & (counts[:, rule.other] > 0) & (counts[:, rule.subject] != counts[:, rule.other])
    elif rule.kind == "count":
        broken = present & (counts[:, rule.subject] != rule.limit)
    else:
        broken = counts[:, rule.subject] > rule.limit
    result: Bools = broken
    return result


def concerns(rule: Rule, tables: Tables) -> Bools:
    """[n] whether `rule` applies to each window."""
    held: Bools = tables.counts[:, rule.subject] > 0
    if rule.other >= 0 and rule.kind != "missing":
        held = held & (tables.counts[:, rule.other] > 0)
    return held


def excess(rule: Rule, tables: Tables) -> Floats:
    """[n] 0 to 1, how far a window exceeds a ceiling: near 0 just above it, 1 from half as much again."""
    if rule.kind not in ("ceiling", "burst"):
        return np.ones(len(tables.weights))
    column = (tables.counts if rule.kind == "ceiling" else tables.longest)[:, rule.subject]
    over: Floats = np.clip(2.0 * np.log2(np.maximum(column, 1) / max(rule.limit, 1)), 0.0, 1.0)
    return over


def mine(tables: Tables, weights: Floats) -> list[Rule]:
    """All rules of the corpus, windows weighted by `weights` (a window that seems anomalous weighs less)."""
    total = float(weights.sum())
    least = max(12.0, 0.005 * total)
    support = weights @ tables.present
    frequent = [int(i) for i in np.argsort(-support, kind="stable")[:_MAX_EVENTS] if support[i] >= least]
    rules = [*_implications(tables, weights, frequent), *_orders(tables, weights, frequent, least)]
    rules += _counts(tables, weights, frequent, least)
    rules += _ceilings(tables, weights)
    return rules


def _implications(tables: Tables, weights: Floats, frequent: list[int]) -> Iterator[Rule]:
    total = float(weights.sum())
    present = tables.present[:, frequent].astype(np.float64)
    together = (present * weights[:, None]).T @ present
    for a, subject in enumerate(frequent):
        held = together[a, a]
        for b, other in enumerate(frequent):
            broken = 1.0 - together[a, b] / held
            if a == b or broken > _MAX_INSTEAD:
                continue
            if broken <= MAX_BROKEN:
                yield Rule("missing", subject, other, 0, float(held), max(0.0, float(broken)), total)
            elif (found := _instead(present, weights, a, b)) is not None:
                third, left = found
                yield Rule("missing", subject, other, 0, float(held), left, total, frequent[third])


def _instead(present: Floats, weights: Floats, a: int, b: int) -> tuple[int, float] | None:
    """The event in nearly all windows with A that lack B and in few that have it, and the share that lacks both."""
    here = present[:, a] > 0.0
    with_b = here & (present[:, b] > 0.0)
    without = here & (present[:, b] == 0.0)
    lacking, having = float(weights[without].sum()), float(weights[with_b].sum())
    if lacking <= 0.0 or having <= 0.0:
        return None
    stands = (weights[without] @ present[without]) / lacking
    also = (weights[with_b] @ present[with_b]) / having
    stands[also > MAX_BROKEN] = 0.0
    third = int(stands.argmax())
    left = lacking * (1.0 - float(stands[third])) / (lacking + having)
    return (third, left) if stands[third] > 0.5 and left <= MAX_BROKEN else None  # noqa: PLR2004 - most of them


def _orders(tables: Tables, weights: Floats, frequent: list[int], least: float) -> Iterator[Rule]:
    total = float(weights.sum())
    first = tables.first[:, frequent]
    seen = first != ABSENT
    support, before = np.zeros((len(frequent), len(frequent))), np.zeros((len(frequent), len(frequent)))
    for a in range(len(frequent)):
        both = seen & seen[:, a : a + 1]
        support[a] = weights @ both
        before[a] = weights @ (both & (first[:, a : a + 1] < first))
    placed = _placed(support, before, least)
    for a, subject in enumerate(frequent):
        for b, other in enumerate(frequent):
            if a == b or not placed[a] or not placed[b] or support[a, b] < least:
                continue
            broken = 1.0 - before[a, b] / support[a, b]
            if broken <= MAX_BROKEN:
                yield Rule("order", subject, other, 0, float(support[a, b]), max(0.0, float(broken)), total)


def _placed(support: Floats, before: Floats, least: float) -> Bools:
    """Whether each event has a place in the order.

    An event without one comes after the first steps nearly always, too, by chance.
    """
    enough = support >= least
    np.fill_diagonal(enough, val=False)
    share = before / np.maximum(support, 1e-9)
    decided = enough & ((share >= _DECIDED) | (share <= 1.0 - _DECIDED))
    placed: Bools = np.ones(len(support), bool)
    for bar in (0.25, 0.5):
        partners = enough & placed[None, :]
        placed = (decided & partners).sum(axis=1) >= bar * np.maximum(partners.sum(axis=1), 1)
    return placed


def _counts(tables: Tables, weights: Floats, frequent: list[int], least: float) -> Iterator[Rule]:
    total = float(weights.sum())
    for subject in frequent:
        column = tables.counts[:, subject]
        rows = column > 0
        support = float(weights[rows].sum())
        usual = int(np.bincount(column[rows], weights=weights[rows]).argmax())
        broken = float(weights[rows & (column != usual)].sum()) / support
        if broken <= MAX_BROKEN:
            yield Rule("count", subject, -1, usual, support, broken, total)
            continue
        for other in frequent:
            both = rows & (tables.counts[:, other] > 0)
            held = float(weights[both].sum())
            if other <= subject or held < least:
                continue
            differing = float(weights[both & (tables.counts[:, other] != column)].sum()) / held
            if differing <= MAX_BROKEN:
                yield Rule("count", subject, other, 0, held, differing, total)


def _ceilings(tables: Tables, weights: Floats) -> Iterator[Rule]:
    """Limits of an event's lines per window and in a row.

    A window that breaks one such rule counts for all of them: in a system with many bursts, none is surprising.
    """
    total = float(weights.sum())
    habit = _habit(tables, weights, total)
    for kind, table in (("ceiling", tables.counts), ("burst", tables.longest)):
        limits = [min(_ceiling(column, weights, total), int(most)) for column, most in zip(table.T, habit, strict=True)]
        broken = float(weights[(table > np.array(limits)).any(axis=1)].sum()) / total
        if broken <= MAX_BROKEN:
            for subject, limit in enumerate(limits):
                yield Rule(kind, subject, -1, limit, total, broken, total)


def _ceiling(column: Ints, weights: Floats, total: float) -> int:
    """A bound on the tail of an event's counts; the rarer the event, the larger the share that may be anomalous."""
    rows = column > 0
    share = float(weights[rows].sum()) / total
    if share <= 0.0:
        return 1
    return _tail_bound(column[rows].astype(np.float64), weights[rows], 1.0 - min(0.5, _TAIL / share))


def _habit(tables: Tables, weights: Floats, total: float) -> Ints:
    """[E] limits of rare events, taken from the frequent ones."""
    share = weights @ tables.present / total
    usual = np.flatnonzero(share >= RARE_SHARE)
    bound = np.full(len(share), np.iinfo(np.int64).max)
    if len(usual):
        rows, columns = np.nonzero(tables.counts[:, usual])
        values = tables.counts[:, usual][rows, columns].astype(np.float64)
        bound[share < RARE_SHARE] = _tail_bound(values, weights[rows], 1.0 - _TAIL)
    return bound


def _tail_bound(values: Floats, weights: Floats, quantile: float) -> int:
    """Far beyond the quantile, and six deviations beyond the mean of the body (a thousandth of a geometric law)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    cumulative = np.cumsum(weights[order]) / weights.sum()
    places = np.minimum(np.searchsorted(cumulative, [0.5, quantile]), len(values) - 1)
    middle, high = (float(value) for value in ordered[places])
    body = ordered <= high
    mean = float(np.average(ordered[body], weights=weights[order][body]))
    spread = float(np.sqrt(np.average((ordered[body] - mean) ** 2, weights=weights[order][body])))
    return int(np.ceil(max(high + 2.0 * (high - middle), 2.0 * high, high + 2.0, mean + 6.0 * spread)))
