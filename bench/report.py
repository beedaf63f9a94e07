"""Writes the stored results into the documents, so that no figure is copied by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import e2e
from bench.accuracy.report.section import section
from bench.errors import BenchError

BEGIN, END = "<!-- results -->", "<!-- /results -->"
ACCURACY_BEGIN, ACCURACY_END = "<!-- accuracy -->", "<!-- /accuracy -->"
DEMO_BEGIN, DEMO_END = "<!-- demo -->", "<!-- /demo -->"
RESULTS = Path(__file__).resolve().parent / "results"
RUNS = (("hdfs", "bgl", "bgl_raw.jsonl"), ("bgl", "hdfs", "hdfs.jsonl"))
_HEAD = (
    "| source → target | labeller | windows (anomalous) | precision | recall | F1 | keyword | new event | always "
    "| lost, partial | replay identical | seconds |"
)


def write(document: Path, folder: Path = RESULTS) -> None:
    """Replace the text between the markers of a document by the tables of the results in a folder, and draw plots.

    Raises:
        BenchError: the markers or the results are absent.
    """
    text = _between(document, document.read_text(), (BEGIN, END), table(read(folder)))
    demos = [json.loads(path.read_text()) for path in sorted(folder.glob("demo_*.json"))]
    if demos:
        text = _between(document, text, (DEMO_BEGIN, DEMO_END), demo_table(demos))
    accuracy = section(folder / "accuracy", document.parent / "images")
    if accuracy:
        text = _between(document, text, (ACCURACY_BEGIN, ACCURACY_END), accuracy)
    document.write_text(text)


def _between(document: Path, text: str, markers: tuple[str, str], inside: str) -> str:
    before, begin, rest = text.partition(markers[0])
    _old, end, after = rest.partition(markers[1])
    if not begin or not end:
        raise BenchError(f"{document} must hold the markers {markers[0]} and {markers[1]}")
    return f"{before}{begin}\n{inside}{end}{after}"


def measure(data: Path, folder: Path = RESULTS) -> bool:
    """Run `bench e2e` for each pair, without and with recorded labels, and store the results; whether all passed."""
    passed = True
    for source, target, labels in RUNS:
        for answers in (None, data / "llm_labels" / labels):
            result = e2e.run(e2e.Options(data=data, source=source, target=target, labels=answers))
            name = f"e2e_{source}_{target}_{'heuristic' if answers is None else 'recorded'}.json"
            (folder / name).write_text(json.dumps(result, indent=2) + "\n")
            passed = passed and e2e.passed(result)
    return passed


def read(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The stored results of `bench e2e`, by file name.

    Raises:
        BenchError: no result is stored.
    """
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("e2e_*.json"))]
    if not results:
        raise BenchError(f"{folder} must hold results of `python -m bench e2e … --out {folder.name}/e2e_….json`")
    return results


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table, and below it the command and the machine of each row."""
    rows = [_HEAD, "|" + "---|" * (_HEAD.count("|") - 1), *(_row(result) for result in results)]
    commands = [f"- `{command(result)}`: {_origin(result)}" for result in results]
    return "\n".join([*rows, "", "Measured with", "", *commands, ""])


def demo_table(results: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of results of `fusionlog demo --json`, one row per seed."""
    rows = ["| seed | windows (anomalous) | precision | recall | worst kind | keyword F1 | new-template F1 | seconds |"]
    rows.append("|" + "---|" * (rows[0].count("|") - 1))
    for result in results:
        kind, found = min(result["recall_by_failure_kind"].items(), key=lambda item: item[1])
        rows.append(
            f"| {result['seed']} | {result['windows']:,} ({result['anomalous_windows']:,}) | {result['precision']:.3f} "
            f"| {result['recall']:.3f} | {kind} {found:.2f} | {result['keyword_f1']:.3f} "
            f"| {result['new_template_f1']:.3f} | {result['seconds']:.0f} |"
        )
    return "\n".join([*rows, ""])


def command(result: Mapping[str, Any]) -> str:
    """The command that produces a result."""
    words = ["python -m bench e2e", "--data ../shared/data", f"--source {result['source']}"]
    words.append(f"--target {result['target']}")
    if result["labels"]:
        words.append(f"--labels ../shared/data/llm_labels/{result['labels'].rpartition(' ')[2]}")
    return " ".join([*words, f"--seed {result['seed']}", "--json"])


def _row(result: Mapping[str, Any]) -> str:
    labeller = result["labels"].partition(":")[0] if result["labels"] else result["labeller"]
    cells = [
        f"{result['source']} → {result['target']}",
        labeller,
        f"{result['windows']:,} ({result['anomalous_windows']:,})",
        *(f"{result[name]:.3f}" for name in ("precision", "recall", "f1", "keyword_f1", "new_event_f1")),
        f"{result['always_anomalous_f1']:.3f}",
        f"{result['lost_windows']}, {result['partial_windows']}",
        "yes" if result["replay_identical"] else "no",
        f"{result['seconds']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _origin(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    commit, dirty, _ = result["commit"].partition("-dirty")
    state = " with changes" if dirty else ""
    return f"commit {commit[:12]}{state}, {machine['cores']} cores of {machine['cpu'] or machine['architecture']}"
