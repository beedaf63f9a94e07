"""The demo's result, as a JSON document for scripts and as tables for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fusionlog.demo.scorer import Scores

PROMISED_RECALL = 0.6  # of each kind of failure
_DIGITS = 4
_ROUNDED = ("precision", "recall", "f1", "keyword_f1", "new_template_f1")


@dataclass(frozen=True)
class DemoResult:
    """The result of one run; `kinds` maps each failure kind to what shows it."""

    seed: int
    broker: str
    topic_prefix: str
    lines_produced: int
    lines_consumed: int
    scores: Scores
    kinds: Mapping[str, str]
    windows_by_kind: Mapping[str, int]
    lines_per_second: float
    model_version: int
    model_sha256: str
    labeller: str
    train_seconds: float
    seconds: float

    def document(self) -> dict[str, Any]:
        """The JSON object of `fusionlog demo --json`."""
        scores = self.scores
        return {
            "seed": self.seed,
            "broker": self.broker,
            "topic_prefix": self.topic_prefix,
            "lines_produced": self.lines_produced,
            "lines_consumed": self.lines_consumed,
            "windows": scores.windows,
            "anomalous_windows": scores.anomalous,
            "alerts": scores.alerts,
            **{name: round(getattr(scores, name), _DIGITS) for name in _ROUNDED},
            "recall_by_failure_kind": {
                kind: round(recall, _DIGITS) for kind, recall in scores.recall_by_failure_kind.items()
            },
            "lines_per_second": self.lines_per_second,
            "model": {"version": self.model_version, "sha256": self.model_sha256},
            "labeller": self.labeller,
            "train_seconds": self.train_seconds,
            "seconds": self.seconds,
        }

    def table(self) -> RenderableType:
        """The result for a terminal."""
        scores = self.scores
        figures = Table(title="Result", title_justify="left", show_header=False)
        figures.add_row("lines produced / consumed", f"{self.lines_produced:,} / {self.lines_consumed:,}")
        figures.add_row("windows, anomalous", f"{scores.windows:,}, {scores.anomalous}")
        figures.add_row("alerts", str(scores.alerts))
        figures.add_row("precision / recall / F1", f"{scores.precision:.3f} / {scores.recall:.3f} / {scores.f1:.3f}")
        figures.add_row("F1 of a keyword rule", f"{scores.keyword_f1:.3f}")
        figures.add_row("F1 of 'has a new template'", f"{scores.new_template_f1:.3f}")
        figures.add_row("lines per second", f"{self.lines_per_second:,.0f}")
        figures.add_row("model", f"version {self.model_version}, {self.model_sha256[:12]}, labeller {self.labeller}")
        figures.add_row("time", f"{self.seconds:.0f} s, of which training {self.train_seconds:.0f} s")
        title = "Recall by failure kind"
        kinds = Table("failure kind", "shows in", "windows", "found", title=title, title_justify="left")
        for kind, recall in scores.recall_by_failure_kind.items():
            found = Text(f"{recall:.0%}", style="green" if recall >= PROMISED_RECALL else "red")
            kinds.add_row(kind, self.kinds.get(kind, ""), str(self.windows_by_kind.get(kind, 0)), found)
        return Group(figures, Text(), kinds)
