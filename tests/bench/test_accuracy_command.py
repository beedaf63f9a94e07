import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.accuracy.cells import Inputs
from bench.accuracy.options import add_options, command_of, options_of
from tests.bench.tiny_system import tiny_folder

KEYS = (
    "source target method labeller protocol seeds budget vectors variant precision recall f1 f1_sd average_precision "
    "best_f1 false_positive_rate f1_unseen_signatures llm_answers seconds cpu_seconds peak_rss_bytes"
)
METHODS = "labeller,dictionary,knn,logistic_regression,pca,keyword,new-event,always"


def accuracy(folder: Path, *arguments: str) -> list[str]:
    """Arguments of a run on the small system, with its cells in the folder."""
    cells = ["--cells", str(folder / "cells")]
    return ["accuracy", "--target-dir", str(folder / "shop"), *cells, "--json", *arguments]


def last_line(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """The result, and what was printed on standard error."""
    out, err = capsys.readouterr()
    return json.loads(out.splitlines()[-1]), err


@pytest.mark.parametrize("protocol", ["P3", "P4", "P5"])
def test_the_last_line_is_the_table(protocol: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every method has a row with the documented keys in their order, figures between 0 and 1."""
    tiny_folder(tmp_path / "shop")
    arguments = accuracy(tmp_path, "--labeller", "recorded", "--protocol", protocol, "--methods", METHODS)

    assert main([*arguments, "--seeds", "2"]) == 0

    result, err = last_line(capsys)
    assert [row["method"] for row in result["rows"]] == METHODS.split(",")
    for row in result["rows"]:
        assert list(row) == KEYS.split()
        assert (row["target"], row["protocol"], row["seeds"], row["labeller"]) == ("shop", protocol, 2, "recorded")
        assert all(0.0 <= row[key] <= 1.0 for key in ("precision", "recall", "f1", "average_precision", "best_f1"))
    assert "window kind session (guessed" in err
    by_method = {row["method"]: row for row in result["rows"]}
    assert by_method["labeller"]["f1"] == 1.0
    assert by_method["always"]["recall"] == by_method["always"]["false_positive_rate"] == 1.0
    assert by_method["pca"]["llm_answers"] == 0 < by_method["knn"]["llm_answers"]


def test_finished_cells_are_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run reads what the first one left, and gives the same rows."""
    tiny_folder(tmp_path / "shop")
    arguments = accuracy(tmp_path, "--labeller", "recorded", "--methods", "knn,pca")
    assert main(arguments) == 0
    first, _ = last_line(capsys)

    def refuse(*_: object) -> None:
        raise AssertionError("a finished cell was run again")

    monkeypatch.setattr(Inputs, "run", refuse)
    assert main(arguments) == 0

    assert last_line(capsys)[0]["rows"] == first["rows"]


def test_the_result_quotes_its_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command holds every option that figures depend on, and run anew it gives the same rows."""
    tiny_folder(tmp_path / "shop")
    tiny_folder(tmp_path / "old shop", seed=9)
    given = ["--source-dir", str(tmp_path / "old shop"), "--window-kind", "tumbling", "--budget", "16,18"]
    given += ["--anomaly-share", "0.02,0.1", "--vectors", "w.txt", "--details", str(tmp_path / "curves")]
    given += ["--labeller", "recorded", "--protocol", "P5", "--seeds", "2", "--methods", "knn"]
    assert main(accuracy(tmp_path, *given)) == 0
    first, _ = last_line(capsys)

    program, *quoted = shlex.split(first["command"])
    assert (program, quoted[:3]) == ("python", ["-m", "bench", "accuracy"])
    assert set(given) <= set(quoted)
    assert main([*quoted[2:], "--cells", str(tmp_path / "other cells")]) == 0
    second, _ = last_line(capsys)

    assert second["command"] == first["command"]
    costs = {"seconds", "cpu_seconds", "peak_rss_bytes"}
    figures = [[{key: row[key] for key in set(row) - costs} for row in one["rows"]] for one in (first, second)]
    assert figures[0] == figures[1]


def test_a_command_of_pairs_names_them() -> None:
    """Pairs of known systems stand as they were given; what was not given is left out."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--data", type=Path)
    add_options(arguments)
    options = options_of(arguments.parse_args(["--data", ".", "--pair", "bgl:hdfs,starter:bgl", "--methods", "pca"]))

    assert command_of(options) == (
        "python -m bench accuracy --data . --pair bgl:hdfs,starter:bgl --labeller default --protocol P3 --seeds 1 "
        "--methods pca --json"
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--pair", "hdfs:hdfs"], "--pair must be SOURCE:TARGET"),
        (["--pair", "hdfs:linux"], "--pair must be SOURCE:TARGET"),
        ([], "--pair SOURCE:TARGET or --target-dir"),
        (["--pair", "all", "--target-dir", "/nowhere"], "--pair must be left out"),
        (["--target-dir", "/nowhere"], "a data folder must be there"),
        (["--source-dir", "/nowhere"], "--source-dir must stand beside"),
        (["--source-dir", "/nowhere", "--target-dir", "/nowhere"], "--source-dir must differ"),
        (["--pair", "hdfs:bgl", "--seeds", "0"], "--seeds must be at least 1"),
        (["--pair", "hdfs:bgl", "--methods", "magic"], "--methods must be of"),
        (["--pair", "hdfs:bgl", "--budget", "many"], "--budget must be numbers"),
        (["--pair", "hdfs:bgl", "--budget", "5"], "--budget must be at least 16"),
    ],
)
def test_wrong_options_are_misuse(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong options end with 2 and one line that says what must be given."""
    assert main(["accuracy", "--data", ".", *arguments]) == 2
    assert named in capsys.readouterr().err


def test_train_needs_two_systems(capsys: pytest.CaptureFixture[str]) -> None:
    """The source of `bench train` must be another system than the target."""
    assert main(["train", "--data", ".", "--source", "bgl", "--target", "bgl"]) == 2
    assert "--source must differ" in capsys.readouterr().err


@pytest.mark.shared
def test_recorded_answers_are_as_right_as_they_are_said_to_be(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five folds cover all windows of HDFS: the LLM's precision, recall and F1 there are those of its recording."""
    arguments = ["accuracy", "--data", str(shared_data), "--pair", "bgl:hdfs", "--cells", str(tmp_path), "--json"]

    assert main([*arguments, "--labeller", "recorded", "--protocol", "P5", "--methods", "labeller"]) == 0

    row = last_line(capsys)[0]["rows"][0]
    found = [round(row[name], 3) for name in ("precision", "recall", "f1")]
    assert found == [0.967, 0.923, 0.945]


def test_p1_of_data_without_times_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sequences have no times, so P1 is refused with the reason."""
    tiny_folder(tmp_path / "shop")

    assert main(accuracy(tmp_path, "--protocol", "P1", "--methods", "pca")) == 2
    assert "usable times" in capsys.readouterr().err


def test_recorded_answers_that_are_absent_are_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The labeller `recorded` names the file that it needs."""
    (tiny_folder(tmp_path / "shop") / "llm_labels.jsonl").unlink()

    assert main(accuracy(tmp_path, "--labeller", "recorded", "--methods", "labeller")) == 2
    assert "llm_labels.jsonl" in capsys.readouterr().err
