"""Managed processes: errors say why, and no process outlives what started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testkit.errors import ProcessError, TestkitError
from testkit.processes import ROOT, ManagedProcess, clean_environment, fusionlog_process, wait_until

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]


def test_a_program_that_ends_well_is_finished(tmp_path: Path) -> None:
    """`finish` returns for exit code 0, calls `tick` meanwhile, and the output is in the log."""
    ticks: list[int] = []
    with fusionlog_process(["version"], tmp_path / "log") as program:
        program.finish(60, lambda: ticks.append(1))
        assert program.log.strip()
    assert ticks


def test_settings_of_the_caller_stay_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`FUSIONLOG_…` of the person who runs it changes nothing in the run; all else is passed on."""
    monkeypatch.setenv("FUSIONLOG_GROUP", "mine")
    monkeypatch.setenv("ELSE", "kept")
    assert "FUSIONLOG_GROUP" not in clean_environment()
    command = [sys.executable, "-c", "import os; print(os.environ.get('FUSIONLOG_GROUP'), os.environ['ELSE'])"]
    with ManagedProcess(command, tmp_path / "log") as program:
        program.finish(60)
        assert program.log == "None kept\n"


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    """`finish` raises with name and exit code, and carries the end of the log."""
    with (
        fusionlog_process(["no-such-command"], tmp_path / "log") as program,
        pytest.raises(ProcessError) as caught,
    ):
        program.finish(60)
    assert caught.value.problem == "`fusionlog no-such-command` must end with exit code 0, got 2"
    assert "no-such-command" in caught.value.log
    assert caught.value.log in str(caught.value)


def test_waiting_ends_when_the_program_does(tmp_path: Path) -> None:
    """A condition that a dead program cannot meet any more is not waited for."""
    with ManagedProcess([sys.executable, "-c", ""], tmp_path / "log") as program:
        with pytest.raises(ProcessError, match="must go on, got exit code 0"):
            program.wait_until(lambda: False, "a position")
        with pytest.raises(ProcessError, match="must go on, got exit code 0"):
            program.wait_for_log("a line")


def test_a_condition_that_stays_false_is_an_error(tmp_path: Path) -> None:
    """The error says what was waited for, with the log where a program was watched."""
    with pytest.raises(TestkitError, match="a position must come true within 0 s"):
        wait_until(lambda: False, "a position", 0)
    with ManagedProcess(SLEEP, tmp_path / "log", stop_signal=signal.SIGKILL) as program:
        program.wait_for_log("ready")
        with pytest.raises(ProcessError, match="a position must come true within 0 s") as caught:
            program.wait_until(lambda: False, "a position", 0)
        assert caught.value.log == "ready"
        with pytest.raises(ProcessError, match="must end within 0 s"):
            program.wait(0)


def test_a_killed_program_is_gone(tmp_path: Path) -> None:
    """`kill` ends a program at once and may be called again."""
    program = ManagedProcess(SLEEP, tmp_path / "log")
    program.kill()
    program.kill()
    with pytest.raises(ProcessError, match="exit code -9"):
        program.check()


@pytest.mark.parametrize("pause", [False, True])
def test_leaving_the_context_asks_the_program_to_stop(tmp_path: Path, pause: bool) -> None:
    """With the signal that was chosen, also when it was paused."""
    with ManagedProcess(SLEEP, tmp_path / "log") as program:
        if pause:
            program.pause()
    with pytest.raises(ProcessError, match="exit code -15"):
        program.check()


def test_a_paused_program_stands_still(tmp_path: Path) -> None:
    """SIGSTOP and SIGCONT reach it."""
    with ManagedProcess(SLEEP, tmp_path / "log") as program:
        program.wait_for_log("ready")
        program.pause()
        wait_until(lambda: state(program.pid) == "T", "the stopped state")
        program.resume()
        wait_until(lambda: state(program.pid) != "T", "the running state")


def test_a_program_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    """`stop` ends it after its time with SIGKILL."""
    code = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('ready', flush=True); time.sleep(99)"
    stubborn = [sys.executable, "-c", code]
    program = ManagedProcess(stubborn, tmp_path / "log", stop_seconds=0.2)
    program.wait_for_log("ready")
    assert program.stop() == -signal.SIGKILL
    assert not program.running


@pytest.mark.skipif(not Path("/usr/bin/setpriv").exists(), reason="util-linux's setpriv is not there")
def test_a_program_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """The kernel ends it when the process that started it gets SIGKILL."""
    parent_code = (
        "import sys, time; from pathlib import Path; from testkit.processes import ManagedProcess; "
        f"p = ManagedProcess([sys.executable, '-c', 'import time; time.sleep(600)'], Path({str(tmp_path / 'log')!r})); "
        "print(p.pid, flush=True); time.sleep(99)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", parent_code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.5)  # until setpriv has taken effect in the child
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: state(child) in {"", "Z"}, "the end of the child", 10)


def state(pid: int) -> str:
    """State letter of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return ""
