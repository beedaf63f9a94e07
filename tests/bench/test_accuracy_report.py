import json
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.accuracy.report import tables
from bench.accuracy.report.plots import write_plots
from bench.accuracy.report.results import Stored, read_stored
from bench.accuracy.report.section import section
from bench.errors import BenchError
from tests.bench.test_report import RESULT

ROW: dict[str, Any] = {
    "source": "bgl",
    "target": "hdfs",
    "method": "default",
    "labeller": "recorded",
    "protocol": "P3",
    "seeds": 5,
    "budget": None,
    "vectors": "hashed",
    "variant": "",
    "precision": 0.97,
    "recall": 0.95,
    "f1": 0.96,
    "f1_sd": 0.004,
    "average_precision": 0.98,
    "best_f1": 0.97,
    "false_positive_rate": 0.0009,
    "f1_unseen_signatures": 0.9,
    "llm_answers": 439,
    "seconds": 51.0,
    "cpu_seconds": 50.0,
    "peak_rss_bytes": 10**9,
}
HEAD: dict[str, Any] = {"source": "bgl", "target": "hdfs", "labeller": "recorded", "protocol": "P3"}
PAIRED = HEAD | {"method": "default", "against": "labeller", "difference": 0.0174, "low": 0.0006, "high": 0.0633}
DETAILS = HEAD | {
    "precision_recall": {"default": [[0.1, 1.0], [1.0, 0.5]]},
    "reliability": {"default": [{"score": 0.1, "anomalous": 0.0, "windows": 9.0}]},
    "rounds": [{"step": "final", "guard": 0.9, "loss": 0.1}],
    "wrong": {
        "default": [{"false_alarms": 0, "misses": 140, "windows": 150, "events": [["disk | `gone`", 0.001]]}],
    },
}


def result(*rows: dict[str, Any]) -> dict[str, Any]:
    """A stored result."""
    machine = {"cores": 2, "cpu": "", "architecture": "x86_64"}
    head = {"command": "python -m bench accuracy --vectors w.txt --json", "commit": "0123456789abcdef"}
    return {**head, "machine": machine, "rows": list(rows), "paired": [PAIRED]}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A folder of results: a headline with a worse second pair, a budget curve, curves and errors."""
    worse = ROW | {"target": "openstack", "f1": 0.61}
    folder = tmp_path / "accuracy"
    for name in ("budget", "curves"):
        (folder / name).mkdir(parents=True)
    (folder / "p3.json").write_text(json.dumps(result(ROW, ROW | {"method": "pca", "f1": 0.72}, worse)))
    budget = [ROW | {"method": "budgeted", "budget": number, "f1": number / 1000} for number in (500, 50)]
    (folder / "budget" / "p3.json").write_text(json.dumps(result(*budget)))
    (folder / "curves" / "p3.json").write_text(json.dumps(DETAILS))
    return folder


def test_worst_rows_come_first(stored: Path, tmp_path: Path) -> None:
    """The shipped setting's rows stand from the smallest F1 on, with deviation and the LLM's answers."""
    text = section(stored, tmp_path / "images")

    first, second = (text.index(f"| bgl → {name} | recorded | P3 | 5 |") for name in ("openstack", "hdfs"))
    assert first < second
    assert "| 0.960 ± 0.004 | 0.980 | 0.970 | 0.0009 | 0.900 | 439 | 51 |" in text
    assert text.index("| pca | 0.720 (0.980)") < text.index("| **default** | 0.960 (0.980)")
    assert "| labeller | +0.017 | +0.001 to +0.063 |" in text
    assert "| bgl → hdfs | recorded | P3 | 0.932 | 0.966 | 0.970 |" in text
    assert "| 140 | 0 | 150 | `disk / 'gone'` (0.10%) |" in text
    assert "- `python -m bench accuracy --vectors w.txt --json`: commit 0123456789ab" in text


def test_plots_are_drawn_and_linked(stored: Path, tmp_path: Path) -> None:
    """Every plot is linked; the same results give the same bytes."""
    text = section(stored, tmp_path / "images")

    names = ("budget", "precision_recall", "reliability", "rounds")
    first = {name: (tmp_path / "images" / f"accuracy_{name}.svg").read_bytes() for name in names}
    assert all(f"(images/accuracy_{name}.svg)" in text for name in names)
    section(stored, tmp_path / "again")
    assert first == {name: (tmp_path / "again" / f"accuracy_{name}.svg").read_bytes() for name in names}
    assert b"bgl \xe2\x86\x92 hdfs" in first["budget"]


def test_the_section_stands_between_its_markers(stored: Path, tmp_path: Path) -> None:
    """`bench report` writes it into the document, and leaves the rest."""
    (tmp_path / "e2e_x.json").write_text(json.dumps(RESULT))
    document = tmp_path / "doc.md"
    markers = (report.BEGIN, report.END, report.ACCURACY_BEGIN, "old", report.ACCURACY_END)
    document.write_text("before\n" + "\n".join(markers) + "\nafter\n")

    report.write(document, stored.parent)

    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "### The shipped setting, worst first" in text


def test_without_results_there_is_no_section(tmp_path: Path) -> None:
    """A folder that is absent leaves the document as it is."""
    assert section(tmp_path / "nothing", tmp_path / "images") == ""


def test_a_result_without_its_command_is_an_error(stored: Path) -> None:
    """The document quotes what was run, and guesses nothing."""
    (stored / "p3.json").write_text(json.dumps({"rows": [ROW]}))

    with pytest.raises(BenchError, match=r"p3\.json must name the command"):
        read_stored(stored)


def test_one_seed_has_no_deviation(stored: Path, tmp_path: Path) -> None:
    """A deviation of 0 would say that seeds do not matter."""
    (stored / "p3.json").write_text(json.dumps(result(ROW | {"seeds": 1, "f1_sd": None})))

    text = section(stored, tmp_path / "images")

    assert "| bgl → hdfs | recorded | P3 | 1 | 0.970 | 0.950 | 0.960 | 0.980 |" in text
    assert "±" not in text.replace("F1 ± sd", "")


def test_each_share_of_anomalies_and_each_budget_has_a_column() -> None:
    """Rows that differ in nothing else stand beside each other, here and in the tables of the shipped setting."""
    shares = [ROW | {"variant": f"anomaly share {share}", "f1": share} for share in (0.01, 0.1)]
    budgets = [ROW | {"budget": number, "f1": number / 10_000} for number in (50, 1_200)]
    others = [ROW | {"vectors": "glove.txt", "f1": 0.5}, ROW | {"seeds": 1, "f1": 0.3}]

    text = tables.methods([*shares, *budgets, *others])

    names = ["anomaly share 0.01", "anomaly share 0.1", "50 answers at most", "1,200 answers at most"]
    head = [f"bgl → hdfs, {name}, seeds 5" for name in [*names, "vectors glove.txt"]]
    assert " | ".join(["| method", *head, "bgl → hdfs, seeds 1 |"]) in text
    figures = " | ".join(f"{value} (0.980)" for value in ("0.010", "0.100", "0.005", "0.120", "0.500", "0.300"))
    assert f"| **default** | {figures} |" in text
    assert tables.shipped(shares).count("| bgl → hdfs, anomaly share 0.") == 2
    assert tables.projected(shares).count("| bgl → hdfs, anomaly share 0.") == 2


def test_two_results_of_the_same_are_an_error() -> None:
    """Neither is silently left out."""
    with pytest.raises(BenchError, match="default of bgl → hdfs twice"):
        tables.methods([ROW, ROW | {"f1": 0.1}])


def test_budget_curves_of_two_shares_are_two_plots(tmp_path: Path) -> None:
    """A curve through the points of both would go up and down between them."""
    rows = [
        ROW | {"method": "budgeted", "budget": budget, "variant": variant}
        for variant in ("", "anomaly share 0.01")
        for budget in (50, 200)
    ]

    write_plots(Stored([], [result(*rows)], [], []), tmp_path)

    text = (tmp_path / "accuracy_budget.svg").read_text()
    assert "bgl → hdfs, recorded, P3" in text
    assert "bgl → hdfs, anomaly share 0.01, recorded, P3" in text
