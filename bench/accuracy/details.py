"""Curves and errors of one table, in files that documents are drawn from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.accuracy.data.windows import Windows
from bench.accuracy.scores import Scores, curve, reliability
from bench.accuracy.table import Seeds

_POINTS = 60
_WORST = 10
_EVENTS = 6


def write_details(folder: Path, head: Mapping[str, Any], outcomes: Mapping[str, Seeds], windows: Windows) -> None:
    """Write precision-recall curves, reliability, rounds and the most costly errors, of the first seed."""
    methods = {name: Scores.pooled([one.scores for one in seeds[0]]) for name, seeds in outcomes.items()}
    content = {
        **head,
        "precision_recall": {name: _points(scores) for name, scores in methods.items()},
        "reliability": {
            name: reliability(scores) for name, scores in methods.items() if name in ("default", "labeller")
        },
        "rounds": outcomes["default"][0][0].facts["rounds"] if "default" in outcomes else [],
        "wrong": {name: most_wrong(methods[name], windows) for name in ("default", "labeller") if name in methods},
    }
    folder.mkdir(parents=True, exist_ok=True)
    name = "_".join(str(head[key]) for key in ("source", "target", "labeller", "protocol"))
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def most_wrong(scores: Scores, windows: Windows) -> list[dict[str, Any]]:
    """Signatures with the most windows in a wrong verdict, and the texts of their events that fewest windows hold."""
    wrong = np.where(scores.alarm, scores.normal, scores.anomalous)
    count = np.bincount(scores.cluster, weights=wrong)
    ranked = [int(cluster) for cluster in np.argsort(-count, kind="stable")[:_WORST] if count[cluster]]
    held = np.bincount(windows.row, minlength=len(windows.runs)) @ (windows.counts > 0)
    share = dict(zip(windows.events, held / len(windows.row), strict=True))
    found = []
    for cluster in ranked:
        inside = scores.cluster == cluster
        first = int(scores.row[inside][np.argmax(wrong[inside])])
        events = sorted({event for event, _ in windows.runs[first]}, key=lambda event: share[event])
        found.append(
            {
                "false_alarms": int(scores.normal[inside & scores.alarm].sum()),
                "misses": int(scores.anomalous[inside & ~scores.alarm].sum()),
                "windows": int((scores.normal + scores.anomalous)[inside].sum()),
                "events": [[windows.texts[event], round(share[event], 5)] for event in events[:_EVENTS]],
            }
        )
    return found


def _points(scores: Scores) -> list[list[float]]:
    """Recall and precision at evenly spaced places of the curve."""
    precision, recall, _ = curve(scores)
    chosen = np.unique(np.linspace(0, max(0, len(recall) - 1), _POINTS).round().astype(int))[: len(recall)]
    return [[round(float(recall[place]), 4), round(float(precision[place]), 4)] for place in chosen]
