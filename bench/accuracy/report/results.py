"""Stored results: headline tables in `bench/results/accuracy`, budget curves, ablations and curves below it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """All stored results.

    Attributes:
        headline: results of `bench accuracy`, by file name.
        budget, ablations: the same, of runs with `--budget`, and of parts of the method.
        details: content of the files of `--details`.
    """

    headline: Sequence[Row]
    budget: Sequence[Row]
    ablations: Sequence[Row]
    details: Sequence[Row]


def read_stored(folder: Path) -> Stored:
    """Read the results; a part that is not stored is empty."""
    return Stored(
        headline=_read(folder),
        budget=_read(folder / "budget"),
        ablations=_read(folder / "ablations"),
        details=_read(folder / "curves"),
    )


def rows_of(results: Sequence[Row]) -> list[Row]:
    """Rows of several results."""
    return [row for result in results for row in result["rows"]]


def pair_of(row: Row) -> str:
    """`source → target`."""
    return f"{row['source']} → {row['target']}"


def command(result: Row) -> str:
    """The command that produces a result."""
    rows = result["rows"]
    first = rows[0]
    pairs = dict.fromkeys(f"{row['source']}:{row['target']}" for row in rows)
    words = [f"python -m bench accuracy --data ../shared/data --pair {','.join(pairs)}"]
    words.append(f"--labeller {first['labeller']} --protocol {first['protocol']} --seeds {first['seeds']}")
    methods = dict.fromkeys("default" if row["method"] == "budgeted" else row["method"] for row in rows)
    words.append(f"--methods {','.join(methods)}")
    budgets = dict.fromkeys(str(row["budget"]) for row in rows if row["budget"] is not None)
    if budgets:
        words.append(f"--budget {','.join(budgets)}")
    shares = dict.fromkeys(row["variant"].rpartition(" ")[2] for row in rows if row["variant"])
    if shares:
        words.append(f"--anomaly-share {','.join(shares)}")
    return " ".join([*words, "--json"])


def _read(folder: Path) -> list[Row]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
