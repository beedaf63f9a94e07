"""Stored results: headline tables in `bench/results/accuracy`, budget curves, ablations and curves below it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """All stored results.

    Attributes:
        headline: results of `bench accuracy`, in the order of their files' names.
        budget, ablations: the same, of runs with `--budget`, and of parts of the method.
        details: content of the files of `--details`.
    """

    headline: Sequence[Row]
    budget: Sequence[Row]
    ablations: Sequence[Row]
    details: Sequence[Row]


def read_stored(folder: Path) -> Stored:
    """Read the results; a part that is not stored is empty.

    Raises:
        BenchError: a result does not say which command gave it.
    """
    return Stored(
        headline=_read_results(folder),
        budget=_read_results(folder / "budget"),
        ablations=_read_results(folder / "ablations"),
        details=_read(folder / "curves"),
    )


def rows_of(results: Sequence[Row]) -> list[Row]:
    """Rows of several results."""
    return [row for result in results for row in result["rows"]]


def pair_of(row: Row) -> str:
    """`source → target`."""
    return f"{row['source']} → {row['target']}"


def label_of(row: Row, *, budget: bool = True) -> str:
    """`source → target`, and what else was not as it is by default: other word vectors, share of anomalies, budget.

    Args:
        row: of a result, or the content of a file of `--details`.
        budget: whether the budget is named, too.
    """
    parts = [pair_of(row), row.get("variant") or ""]
    if row.get("vectors", "hashed") != "hashed":
        parts.append(f"vectors {row['vectors']}")
    if budget and row.get("budget") is not None:
        parts.append(f"{row['budget']:,} answers at most")
    return ", ".join(part for part in parts if part)


def _read(folder: Path) -> list[Row]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def _read_results(folder: Path) -> list[Row]:
    for path, result in zip(sorted(folder.glob("*.json")), found := _read(folder), strict=True):
        if "command" not in result:
            raise BenchError(f"{path} must name the command that gave its figures in the key `command`, got none")
    return found
