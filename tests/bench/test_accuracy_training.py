import json
import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bench.accuracy import whole
from bench.accuracy.answers import write_answers
from bench.accuracy.cells import Cell
from bench.accuracy.data import datasets
from bench.accuracy.data.windows import Floats
from bench.accuracy.options import CELLS
from bench.accuracy.run import Options, run
from bench.accuracy.task import Task
from tests.bench.tiny_system import SMALL, tiny_folder
from trainer.learning.meta_learning import MetaReport, MetaSettings
from trainer.learning.training import Learner
from trainer.testing import TEXTS

pytestmark = pytest.mark.ray  # trainings of more than seconds
PAIRED_KEYS = "source target labeller protocol method against difference low high"
TRAIN_KEYS = "seconds cpu_seconds peak_rss_bytes windows signatures llm_answers model_sha256"


def options(folder: Path, **changes: object) -> Options:
    """Options of a small run on the small system, the source another one."""
    tiny_folder(folder / "shop")
    tiny_folder(folder / "source", seed=9)
    small = Options(
        data=folder,
        pairs=[("source-shop", "shop")],
        labeller="recorded",
        protocol="P3",
        seeds=1,
        methods=["default"],
        cells=folder / "cells",
        source_dir=folder / "source",
        target_dir=folder / "shop",
        training=SMALL,
    )
    return replace(small, **changes)  # type: ignore[arg-type]


def test_the_shipped_training_is_compared_with_every_other_method(tmp_path: Path) -> None:
    """`default` learns from the answers, and each other method has a paired difference from it."""
    longer = {**SMALL, "final_steps": 250, "hidden": 32}
    result = run(options(tmp_path, methods=["default", "labeller", "always"], training=longer))

    assert [list(one) for one in result["paired"]] == [PAIRED_KEYS.split()] * 2
    ours = result["rows"][0]
    for one, other in zip(result["paired"], result["rows"][1:], strict=True):
        assert one["against"] == other["method"]
        assert one["low"] <= one["difference"] <= one["high"]
        assert one["difference"] == pytest.approx(ours["f1"] - other["f1"], abs=2e-4)
    assert ours["f1"] > 0.7
    assert ours["llm_answers"] > 0


def test_parts_of_the_method_have_rows_of_their_own(tmp_path: Path) -> None:
    """The small model before any answer is judged with and without domain loss and inner step; no answer is used."""
    result = run(options(tmp_path, methods=["source_only", "adversarial", "meta"]))

    assert [row["method"] for row in result["rows"]] == ["source_only", "adversarial", "meta"]
    assert {row["llm_answers"] for row in result["rows"]} == {0}
    assert result["paired"] == []


def test_only_freelog_aligns_all_of_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`meta` aligns the general signatures with the source, `freelog_like` all of them, with the same settings."""
    aligned: list[tuple[int, MetaSettings]] = []

    class Spied(Learner):
        def meta_learn(self, general: npt.NDArray[np.intp], settings: MetaSettings) -> MetaReport:
            aligned.append((len(general), settings))
            return super().meta_learn(general, settings)

    monkeypatch.setattr("trainer.workers.local.Learner", Spied)
    wanted = options(tmp_path, methods=["meta", "freelog_like"])
    texts = tmp_path / "source" / "shop_templates.csv"
    texts.write_text(texts.read_text().replace(TEXTS["check"].replace("<NUM>", "<*>"), "another thing altogether"))

    result = run(wanted)

    (general, shipped), (everything, other) = aligned
    assert general < everything
    assert shipped == other
    assert [row["llm_answers"] for row in result["rows"]] == [0, 0]


def test_a_budget_curve_has_a_row_per_budget_and_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a budget the shipped training is called `budgeted`; what a row counts is what its trainer was given."""
    given: list[list[int]] = []  # of each training: the rows that the trainer got an answer about

    def spied(path: Path, task: Task, probabilities: Floats, budget: int) -> int:
        written = write_answers(path, task, probabilities, budget)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        given.append([int(line["window"].rpartition("-")[2]) for line in lines])
        return written

    monkeypatch.setattr("bench.accuracy.training.write_answers", spied)
    methods = ["default", "random_order", "length_order", "llm_nearest_neighbor"]
    result = run(options(tmp_path, methods=methods, budgets=[16, 18]))

    names = ["budgeted", *methods[1:]]
    assert [(row["method"], row["budget"]) for row in result["rows"]] == [(name, n) for n in (16, 18) for name in names]
    assert result["paired"] == []
    clusters = datasets.folder(tmp_path / "shop", None, "shop").windows.clusters
    trained = [row for row in result["rows"] if row["method"] != "llm_nearest_neighbor"]
    for row, rows in zip(trained, given, strict=True):
        signatures = {int(clusters[one]) for one in rows}
        assert row["llm_answers"] == len(signatures) <= row["budget"]
        if row["method"] != "budgeted":  # the trainer may ask for fewer, about sets of events
            assert len(signatures) == min(row["budget"], 16)  # there are no more
    assert [row["llm_answers"] for row in result["rows"] if row["method"] == "llm_nearest_neighbor"] == [16, 16]


def test_curves_and_errors_are_written(tmp_path: Path) -> None:
    """The folder of details holds curves, rounds of the training and the most costly errors of each table."""
    run(options(tmp_path, methods=["default", "labeller", "always"], details=tmp_path / "curves"))

    content = json.loads((tmp_path / "curves" / "source-shop_shop_recorded_P3.json").read_text())
    assert set(content["precision_recall"]) == {"default", "labeller", "always"}
    assert [one["step"] for one in content["rounds"]][-1] == "final"
    assert set(content["reliability"]) == set(content["wrong"]) == {"default", "labeller"}
    assert content["wrong"]["labeller"] == []


def test_the_oracle_answers_the_trainer(tmp_path: Path) -> None:
    """The truth with noise is a labeller like any other: its answers train a model."""
    result = run(options(tmp_path, labeller="oracle-noise", methods=["default", "labeller"]))

    assert all(row["labeller"] == "oracle-noise" and row["llm_answers"] > 0 for row in result["rows"])


def test_a_share_of_anomalies_is_a_variant(tmp_path: Path) -> None:
    """Rows of thinned windows say so in `variant`."""
    result = run(options(tmp_path, methods=["default"], shares=[0.02]))

    assert [(row["method"], row["variant"]) for row in result["rows"]] == [("default", "anomaly share 0.02")]


def test_train_prints_what_it_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The result of `bench train` holds the documented keys; all windows train, and nothing else is printed."""
    tiny = tiny_folder(tmp_path / "shop")
    for name, kind in (("hdfs", "sequences"), ("bgl", "windows")):
        (tmp_path / name).mkdir()
        packed = lzma.compress((tiny / "shop_sequences.csv").read_bytes())
        (tmp_path / name / f"{name}_{kind}.csv.xz").write_bytes(packed)
        (tmp_path / name / f"{name}_templates.csv").write_bytes((tiny / "shop_templates.csv").read_bytes())
    (tmp_path / "llm_labels").mkdir()
    (tmp_path / "llm_labels" / "hdfs.jsonl").write_bytes((tiny / "llm_labels.jsonl").read_bytes())

    result = whole.run(whole.TrainOptions(tmp_path, "bgl", "hdfs", "recorded", training=SMALL))

    assert capsys.readouterr().out == "", "standard output is for the last line"
    assert list(result) == TRAIN_KEYS.split()
    assert result["windows"] == 194
    assert result["llm_answers"] > 0


def test_the_starter_is_a_source() -> None:
    """The generated source is read by the trainer itself, with both classes; a seed gives the same windows."""
    corpus = datasets.starter_corpus(1)

    assert {bool(signature.label) for signature in corpus.signatures} == {True, False}
    assert corpus.system == "starter"


def test_cells_of_other_code_or_data_are_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell's file name depends on what was asked, on the data and on the code."""
    cell = Cell("shop", "old", "default", "recorded", "P3", 0, 0, None, "hashed")
    paths = {
        cell.path(CELLS, "data"),
        cell.path(CELLS, "other data"),
        replace(cell, seed=1).path(CELLS, "data"),
        replace(cell, budget=50).path(CELLS, "data"),
    }
    monkeypatch.setattr("bench.accuracy.cells.code_hash", lambda *, trainer: f"other code {trainer}")
    paths.add(cell.path(CELLS, "data"))

    assert len(paths) == 5


def test_windows_cut_in_another_way_are_other_data(tmp_path: Path) -> None:
    """The same files give another content, and so other cells, where the kind of window differs."""
    path = tiny_folder(tmp_path / "shop")
    hashes = {datasets.folder(path, kind).windows.content_hash for kind in ("session", "tumbling", "session")}

    assert len(hashes) == 2


def test_errors_name_the_rarest_events_first(tmp_path: Path) -> None:
    """A method that is always wrong about faults names their signatures, with the texts that few windows hold."""
    run(options(tmp_path, methods=["labeller", "always"], details=tmp_path / "curves", labeller="default"))

    content = json.loads((tmp_path / "curves" / "source-shop_shop_default_P3.json").read_text())
    first = content["wrong"]["labeller"][0]
    assert first["misses"] + first["false_alarms"] > 0
    shares = [share for _text, share in first["events"]]
    assert shares == sorted(shares)
