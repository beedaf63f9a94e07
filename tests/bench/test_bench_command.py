import json

import pytest

from bench import e2e
from bench.__main__ import main
from bench.errors import BenchError, MisuseError


@pytest.mark.parametrize("arguments", [["--help"], ["e2e", "--help"], ["parse", "--help"]])
def test_help_shows_an_example(arguments, capsys):
    """Help of every command ends well and holds a command line to copy."""
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
def test_wrong_options_are_misuse(arguments, capsys):
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
def test_options_that_cannot_be_are_misuse(change, named, tmp_path, capsys):
    """Source and target alike, and paths that are not there, end with 2 before anything is started."""
    arguments = ["e2e", "--source", "hdfs", "--target", "bgl", "--data", str(tmp_path), *change]

    assert main(arguments) == 2
    assert named in capsys.readouterr().err


def result(**changes):
    """A result in which everything held, but for the changes."""
    return {"lines": 3, "lost_windows": 0, "partial_windows": 0, "replay_identical": True} | changes


@pytest.mark.parametrize(
    ("changes", "code"),
    [({}, 0), ({"lost_windows": 1}, 1), ({"partial_windows": 1}, 1), ({"replay_identical": False}, 1)],
)
def test_the_exit_code_says_whether_the_run_held(changes, code, tmp_path, capsys, monkeypatch):
    """The result is printed last and written in any case; a broken promise is exit code 1."""
    monkeypatch.setattr(e2e, "run", lambda _options: result(**changes))
    out = tmp_path / "results" / "run.json"
    arguments = ["e2e", "--source", "hdfs", "--target", "bgl", "--json", "--out", str(out)]

    assert main(arguments) == code
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result(**changes)
    assert json.loads(out.read_text()) == result(**changes)


@pytest.mark.parametrize(("error", "code"), [(BenchError("the agent died"), 1), (MisuseError("no such file"), 2)])
def test_errors_are_one_line_and_no_traceback(error, code, capsys, monkeypatch):
    """What stops a run is said on standard error."""

    def stop(_options):
        raise error

    monkeypatch.setattr(e2e, "run", stop)

    assert main(["e2e", "--source", "hdfs", "--target", "bgl"]) == code
    assert capsys.readouterr().err == f"bench: {error}\n"
