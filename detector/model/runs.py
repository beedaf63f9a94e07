"""A window as the model reads it: run-length coded event ids."""

from collections.abc import Sequence
from itertools import groupby

Runs = tuple[tuple[str, int], ...]
"""Event ids in order, run-length coded: ((event id, how often in a row), …)."""


def run_lengths(event_ids: Sequence[str]) -> Runs:
    """Run-length code of a sequence of event ids."""
    return tuple((event_id, len(list(group))) for event_id, group in groupby(event_ids))


def counts_of(runs: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Number of lines of each event."""
    counts: dict[str, int] = {}
    for event_id, run in runs:
        counts[event_id] = counts.get(event_id, 0) + run
    return counts


def merged(runs: Sequence[tuple[str, int]]) -> Runs:
    """Runs in which no neighbors are the same event."""
    return tuple(
        (event_id, sum(run for _, run in group)) for event_id, group in groupby(runs, key=lambda step: step[0])
    )
