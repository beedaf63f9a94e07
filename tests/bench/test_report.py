import json
from pathlib import Path
from typing import Any

import pytest

from bench import e2e, report
from bench.errors import BenchError

RESULT: dict[str, Any] = {
    "source": "hdfs",
    "target": "bgl",
    "windows": 47_216,
    "anomalous_windows": 274,
    "precision": 0.5,
    "recall": 0.25,
    "f1": 0.33333,
    "keyword_f1": 0.8712,
    "new_event_f1": 0.0,
    "always_anomalous_f1": 0.0115,
    "labeller": "recorded",
    "labels": "recorded LLM labels (zero-shot, batched): bgl_raw.jsonl",
    "lost_windows": 0,
    "partial_windows": 0,
    "replay_identical": True,
    "seconds": 61.4,
    "seed": 3,
    "commit": "0123456789abcdef",
    "machine": {"cores": 2, "cpu": "", "architecture": "x86_64"},
}


def test_a_result_is_quoted_with_its_command(tmp_path: Path) -> None:
    """The table replaces the text between the markers and names the labeller, the command and the commit."""
    (tmp_path / "e2e_x.json").write_text(json.dumps(RESULT))
    document = tmp_path / "doc.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")

    report.write(document, tmp_path)

    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    row = "| hdfs → bgl | recorded LLM labels (zero-shot, batched) | 47,216 (274) | 0.500 | 0.250 | 0.333 | 0.871 |"
    assert row in text
    assert "--source hdfs --target bgl --labels ../shared/data/llm_labels/bgl_raw.jsonl --seed 3 --json`" in text
    assert "commit 0123456789ab, 2 cores of x86_64" in text


def test_without_labels_the_labeller_is_named() -> None:
    """A run of the default labeller quotes its name and no option."""
    text = report.table([RESULT | {"labels": None, "labeller": "heuristic"}])

    assert "| hdfs → bgl | heuristic |" in text
    assert "--labels" not in text


def test_a_result_of_changed_files_says_so() -> None:
    """A result of uncommitted changes is not quoted as a result of the commit."""
    assert "commit 0123456789ab with changes, 2 cores" in report.table([RESULT | {"commit": "0123456789abcdef-dirty"}])


def test_a_document_without_markers_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written where the table has no place."""
    (tmp_path / "e2e_x.json").write_text(json.dumps(RESULT))
    document = tmp_path / "doc.md"
    document.write_text("text\n")

    with pytest.raises(BenchError, match="must hold the markers"):
        report.write(document, tmp_path)
    assert document.read_text() == "text\n"


def test_measuring_stores_a_result_for_each_pair_and_labeller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four runs, two with recorded labels, become four files; one that failed is reported."""
    asked: list[tuple[str, str, str | None]] = []

    def fake_run(options: e2e.Options) -> dict[str, Any]:
        asked.append((options.source, options.target, options.labels.name if options.labels else None))
        return RESULT | {"lost_windows": int(options.labels is not None and options.source == "bgl")}

    monkeypatch.setattr(e2e, "run", fake_run)

    assert not report.measure(tmp_path, tmp_path)
    assert asked == [
        ("hdfs", "bgl", None),
        ("hdfs", "bgl", "bgl_raw.jsonl"),
        ("bgl", "hdfs", None),
        ("bgl", "hdfs", "hdfs.jsonl"),
    ]
    assert [result["lost_windows"] for result in report.read(tmp_path)] == [0, 1, 0, 0]


def test_no_results_is_an_error(tmp_path: Path) -> None:
    """An empty folder is named instead of an empty table."""
    with pytest.raises(BenchError, match="must hold results"):
        report.read(tmp_path)


def test_the_demo_table_names_the_kind_that_was_found_least() -> None:
    """One row per seed, with the failure kind of least recall, so that a mean hides nothing."""
    demo = {
        "seed": 7, "windows": 2000, "anomalous_windows": 120, "precision": 0.9, "recall": 0.8,
        "recall_by_failure_kind": {"order": 0.61, "words": 1.0}, "keyword_f1": 0.3, "new_template_f1": 0.1,
        "seconds": 99.6,
    }  # fmt: skip
    assert "| 7 | 2,000 (120) | 0.900 | 0.800 | order 0.61 | 0.300 | 0.100 | 100 |" in report.demo_table([demo])
