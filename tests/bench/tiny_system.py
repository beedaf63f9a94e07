"""A small system in a folder of the benchmark's form: orders with a fixed course, and a few failures."""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.testing import TEXTS, history

NUMBER = {event: str(number) for number, event in enumerate(TEXTS, start=10)}
SMALL: Mapping[str, object] = {"meta_steps": 3, "final_steps": 20, "rounds": 1, "hidden": 16}
"""Settings of a training of a few seconds."""


def tiny_folder(
    folder: Path, seed: int = 0, count: int = 200, failing: int = 6, labels: Sequence[bool] | None = None
) -> Path:
    """Write sequences, templates and recorded answers, all of them right, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    # Failures of order have the counts of normal orders, so no answer about counts could be right about them.
    pairs = [pair for pair in zip(*history(seed, count, failing), strict=True) if pair[1] != "order"]
    windows, kinds = [events for events, _ in pairs], [kind for _, kind in pairs]
    truth = [bool(kind) for kind in kinds] if labels is None else labels
    with (folder / "shop_sequences.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["split", "sequence", "label", "comment"])
        for number, (events, label) in enumerate(zip(windows, truth, strict=True)):
            rows.writerow([number % 2, " ".join(NUMBER[event] for event in events), int(label), "none"])
    with (folder / "shop_templates.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["EventTemplate", "occurrences", "EventId"])
        rows.writerows([text.replace("<NUM>", "<*>"), 1, NUMBER[event]] for event, text in TEXTS.items())
    answers = {}
    for events, kind in zip(windows, kinds, strict=True):
        counts = sorted((NUMBER[event], min(number, 8)) for event, number in Counter(events).items())
        answers[tuple(counts)] = bool(kind)
    with (folder / "llm_labels.jsonl").open("w") as file:
        for signature, bad in answers.items():
            line: dict[str, object] = {"signature": "counts8", "confidence": 0.9}
            line["label"] = "anomalous" if bad else "normal"
            line["events"], line["counts"] = ([pair[place] for pair in signature] for place in (0, 1))
            file.write(json.dumps(line) + "\n")
    return folder
