import os
import signal
from pathlib import Path

import pytest

from fusionlog.demo.child import Child
from fusionlog.demo.errors import DemoError


def test_a_program_that_ends_well_is_waited_for(tmp_path):
    """Exit code 0 is no error, and what it said is in its log."""
    ticks = []
    with Child(["version"], tmp_path / "log") as child:
        child.wait(60, lambda: ticks.append(1))
        assert child.tail().strip()
    assert ticks


def test_a_program_that_fails_shows_the_end_of_its_log(tmp_path):
    """The error names the program and its exit code, and carries what it said last."""
    with (
        Child(["agent", "--config", "/nowhere.yaml"], tmp_path / "log") as child,
        pytest.raises(DemoError, match="`fusionlog agent` must end with exit code 0, got 2") as caught,
    ):
        child.wait(60, lambda: None)
    assert "/nowhere.yaml" in caught.value.log


def test_waiting_for_something_ends_when_the_program_does(tmp_path):
    """A condition that can no longer come true is not waited for."""
    with (
        Child(["version"], tmp_path / "log") as child,
        pytest.raises(DemoError, match="`fusionlog version` must go on, got exit code 0"),
    ):
        child.wait_until(lambda: False, 60, "the impossible")


def test_settings_of_the_environment_do_not_reach_it(tmp_path, monkeypatch):
    """A person's FUSIONLOG_… variables are theirs, not the demo's."""
    monkeypatch.setenv("FUSIONLOG_GROUP", "must not be seen")
    with Child(["version"], tmp_path / "log") as child:
        environment = Path(f"/proc/{child.pid}/environ")
        seen = environment.read_bytes() if environment.exists() else b""
        child.wait(60, lambda: None)
    assert b"FUSIONLOG_GROUP" not in seen
    assert os.environ["FUSIONLOG_GROUP"] == "must not be seen"


def test_leaving_stops_what_still_runs(tmp_path):
    """No process outlives its context, and it is asked with the signal that was chosen."""
    config = tmp_path / "agent.yaml"
    config.write_text("systems: [{topics: [raw], spec: {name: x}}]\nkafka: {bootstrap_servers: '127.0.0.1:1'}\n")
    with Child(["agent", "--config", str(config)], tmp_path / "log", signal.SIGTERM) as child:
        child.check()
        pid = child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
