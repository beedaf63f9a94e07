"""`fusionlog train` as a process that is told to stop in the middle of its work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from tests.trainer.miniature import TEXTS, history


def test_a_run_that_is_told_to_stop_says_so_and_leaves_nothing_behind(tmp_path):
    """SIGTERM while the model learns: a word at once, exit code 1, no trace, no artifact."""
    dice, out, errors = Random(1), tmp_path / "out", tmp_path / "errors"
    with (tmp_path / "target.log").open("w") as target:
        for number, events in enumerate(history(1, 200)[0]):
            for event in events:
                target.write(TEXTS[event].replace("<NUM>", str(dice.randint(1, 99))) + f" order=o{number}\n")
    command = ["-m", "fusionlog", "train", "--target", str(tmp_path / "target.log"), "--key-pattern", r"order=(\w+)"]
    with errors.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *command, "--no-publish", "--out", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=stream,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        )
    try:
        deadline = time.monotonic() + 120
        while '"meta-learning"' not in errors.read_text() and time.monotonic() < deadline:
            assert process.poll() is None, errors.read_text()
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
    told = errors.read_text()
    assert code == 1, told
    assert "stopping: the workers are ended" in told
    assert "nothing is half published" in told.splitlines()[-1]
    assert "Traceback" not in told
    assert not out.exists()
