import json
from pathlib import Path
from typing import Any

import pytest

from bench import e2e
from bench.__main__ import main
from bench.errors import BenchError, MisuseError


@pytest.mark.parametrize("arguments", [["--help"], ["e2e", "--help"], ["parse", "--help"]])
def test_help_shows_an_example(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Help of every command ends with 0 and holds a command line to copy."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 0
    assert "python -m bench e2e --data ../shared/data --source hdfs --target bgl" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["e2e", "--source", "hdfs"],
        ["e2e", "--source", "linux", "--target", "bgl"],
        ["e2e", "--source", "hdfs", "--target", "bgl", "--bogus"],
    ],
)
def test_wrong_options_are_misuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A missing, wrong or unknown option ends with 2 and a line that names it."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--source", "bgl"], "--source must differ"),
        (["--data", "/nowhere"], "--data must be the folder"),
        (["--labels", "/nowhere"], "--labels must be a file"),
    ],
)
def test_options_that_cannot_be_are_misuse(
    change: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Equal source and target, and paths that do not exist, end with 2 before anything is started."""
    arguments = ["e2e", "--source", "hdfs", "--target", "bgl", "--data", str(tmp_path), *change]

    assert main(arguments) == 2
    assert named in capsys.readouterr().err


def result(**changes: Any) -> dict[str, Any]:
    """A result that passed, apart from the changes."""
    return {"lines": 3, "lost_windows": 0, "partial_windows": 0, "replay_identical": True} | changes


@pytest.mark.parametrize(
    ("changes", "code"),
    [({}, 0), ({"lost_windows": 1}, 1), ({"partial_windows": 1}, 1), ({"replay_identical": False}, 1)],
)
def test_the_exit_code_says_whether_the_run_held(
    changes: dict[str, Any],
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The result is printed last and written in any case; a run that failed has exit code 1."""
    monkeypatch.setattr(e2e, "run", lambda _options: result(**changes))
    out = tmp_path / "results" / "run.json"
    arguments = ["e2e", "--source", "hdfs", "--target", "bgl", "--json", "--out", str(out)]

    assert main(arguments) == code
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result(**changes)
    assert json.loads(out.read_text()) == result(**changes)


@pytest.mark.parametrize(("error", "code"), [(BenchError("the agent died"), 1), (MisuseError("no such file"), 2)])
def test_errors_are_one_line_and_no_traceback(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason why a run stopped is on standard error."""

    def stop(_options: e2e.Options) -> None:
        raise error

    monkeypatch.setattr(e2e, "run", stop)

    assert main(["e2e", "--source", "hdfs", "--target", "bgl"]) == code
    assert capsys.readouterr().err == f"bench: {error}\n"
