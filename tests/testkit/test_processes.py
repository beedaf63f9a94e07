import pytest

from testkit.errors import TestkitError
from testkit.processes import Program, clean_environment, wait_until


def test_a_program_that_ends_well_is_finished(tmp_path):
    """`finish` returns for exit code 0, and what the program printed is in its log."""
    with Program(["version"], tmp_path / "log") as program:
        program.finish(60)

    assert (tmp_path / "log").read_text().strip()


def test_settings_of_the_caller_stay_outside(monkeypatch):
    """`FUSIONLOG_…` of the person who runs the benchmark changes nothing in the run; all else is passed on."""
    monkeypatch.setenv("FUSIONLOG_GROUP", "mine")
    monkeypatch.setenv("ELSE", "kept")

    passed_on = clean_environment()

    assert "FUSIONLOG_GROUP" not in passed_on
    assert passed_on["ELSE"] == "kept"


def test_a_program_that_fails_says_why(tmp_path):
    """`finish` raises with the exit code and the end of the log."""
    with Program(["no-such-command"], tmp_path / "log") as program, pytest.raises(TestkitError, match="exit code 2"):
        program.finish(60)


def test_waiting_ends_when_the_program_does(tmp_path):
    """Nobody waits for a position that a dead agent will never reach."""
    with (
        Program(["no-such-command"], tmp_path / "log") as program,
        pytest.raises(TestkitError, match="exit code"),
    ):
        wait_until(lambda: False, 60, "a position", program)


def test_a_killed_program_is_gone(tmp_path):
    """`kill` ends a program at once, may be called again, and the program counts as failed."""
    program = Program(["version"], tmp_path / "log")
    program.kill()
    program.kill()

    with pytest.raises(TestkitError, match="exit code -9"):
        program.check_alive()


def test_a_program_that_takes_too_long_is_killed(tmp_path):
    """`finish` does not wait for ever."""
    program = Program(["version"], tmp_path / "log")
    with pytest.raises(TestkitError, match="must end in 0 s"):
        program.finish(0)

    with pytest.raises(TestkitError, match="exit code -9"):
        program.check_alive()


def test_leaving_the_context_ends_the_program(tmp_path):
    """An error or Ctrl-C in the benchmark leaves no process behind."""
    with Program(["version"], tmp_path / "log") as program:
        pass

    with pytest.raises(TestkitError, match="exit code -15"):
        program.check_alive()
