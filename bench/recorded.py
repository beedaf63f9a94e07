"""Recorded LLM answers for the windows of the history part (`../shared/data/llm_labels`).

The answers are for signatures over published event ids. A raw line is mapped to its published id (BGL: by row of
`bgl_100k_structured.csv`; HDFS: by the templates of `hdfs_templates.csv`, longest constant text first), and a window to
its signature (`set`, or `counts8` = counts up to 8). The answer is written with the window's id for the trainer's
`recorded` labeller. A signature without an answer is omitted, which the trainer counts as an abstention.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.datasets import read_rows
from bench.errors import BenchError, MisuseError

NAME = "recorded LLM labels (zero-shot, batched)"
COUNT_LIMIT = 8
Signature = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class RecordedAnswer:
    """The language model's answer for a signature."""

    label: str
    confidence: float


class AnswerBook:
    """Recorded answers, looked up by the published event ids of a window."""

    def __init__(self, view: str, answers: Mapping[Signature, RecordedAnswer]) -> None:
        self._view = view
        self._answers = answers

    @classmethod
    def read(cls, path: Path) -> "AnswerBook":
        """Read a file of recorded answers.

        Raises:
            MisuseError: the file is absent, or does not hold recorded answers of one kind of signature.
        """
        try:
            rows = [json.loads(line) for line in path.read_text().splitlines() if line]
            views = {str(row["signature"]) for row in rows}
            answers = {_recorded_signature(row): RecordedAnswer(row["label"], float(row["confidence"])) for row in rows}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MisuseError(f"--labels must be a file of recorded answers, got {path}: {error!r}") from error
        if len(views) != 1 or not views <= {"set", "counts8"}:
            raise MisuseError(f"--labels must hold signatures of one kind, 'set' or 'counts8', got {sorted(views)}")
        return cls(views.pop(), answers)

    @property
    def view(self) -> str:
        """Kind of the signatures: `set` or `counts8`."""
        return self._view

    def answer(self, events: Iterable[str]) -> RecordedAnswer | None:
        """The answer for a window with these published event ids; None where it is absent."""
        return self._answers.get(signature_of(events, self._view))


def signature_of(events: Iterable[str], view: str) -> Signature:
    """Sorted events with their counts up to 8, or with a count of 1 for `set`."""
    limit = COUNT_LIMIT if view == "counts8" else 1
    return tuple(sorted((event, min(count, limit)) for event, count in Counter(events).items()))


def _recorded_signature(row: Mapping[str, Any]) -> Signature:
    counts: Sequence[int] = row["counts"] if row["signature"] == "counts8" else [1] * len(row["events"])
    return tuple(sorted((str(event), int(count)) for event, count in zip(row["events"], counts, strict=True)))


class PublishedEvents:
    """Published event ids of the lines of a target."""

    def __init__(self, data: Path, system: str) -> None:
        self._by_row: list[str] = []
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        if system == "bgl":
            self._by_row = [row["event_id"] for row in read_rows(data / "bgl" / "bgl_100k_structured.csv.xz")]
        else:
            self._patterns = _patterns(data / "hdfs" / "hdfs_templates.csv")

    def of(self, row: int, value: bytes) -> str:
        """Event id of the line at `row`.

        Raises:
            BenchError: no published template matches the line.
        """
        if self._by_row:
            return self._by_row[row]
        text = value.decode("utf-8", "replace")
        for pattern, event_id in self._patterns:
            if pattern.search(text):
                return event_id
        raise BenchError(f"every line must match a published template, got {text[:200]!r}")


def _patterns(path: Path) -> list[tuple[re.Pattern[str], str]]:
    found = []
    for row in read_rows(path):
        parts = [part.strip() for part in row["template"].split("<*>")]
        pattern = re.compile(".*".join(re.escape(part) for part in parts if part))
        found.append((sum(map(len, parts)), pattern, row["event_id"]))
    found.sort(key=lambda entry: -entry[0])
    return [(pattern, event_id) for _length, pattern, event_id in found]


def write_answers(path: Path, answers: Iterable[tuple[str, RecordedAnswer]]) -> int:
    """Write (window id, answer) pairs in the format of the trainer's `recorded` labeller; their number."""
    rows = [
        json.dumps({"window": window, "label": answer.label, "confidence": answer.confidence})
        for window, answer in answers
    ]
    path.write_text("".join(row + "\n" for row in rows))
    return len(rows)
