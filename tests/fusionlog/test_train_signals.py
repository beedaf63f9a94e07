"""`fusionlog train` as a process that gets SIGTERM while it trains."""

from pathlib import Path
from random import Random

import pytest

from testkit.processes import fusionlog_process
from trainer.testing import TEXTS, history

pytestmark = pytest.mark.ray

START_SECONDS = 120.0


def test_a_stopped_run_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGTERM while the model learns: a message at once, exit code 1, no traceback, no artifact."""
    rng, out, lines = Random(1), tmp_path / "out", tmp_path / "target.log"
    with lines.open("w") as target:
        for number, events in enumerate(history(1, 200)[0]):
            for event in events:
                target.write(TEXTS[event].replace("<NUM>", str(rng.randint(1, 99))) + f" order=o{number}\n")
    command = ["train", "--target", str(lines), "--key-pattern", r"order=(\w+)", "--no-publish", "--out", str(out)]
    with fusionlog_process(command, tmp_path / "log") as run:
        run.wait_for_log('"meta-learning"', START_SECONDS)
        assert run.stop() == 1, run.log
    assert "stopping: the workers are ended" in run.log
    assert "nothing is half published" in run.log.splitlines()[-1]
    assert "Traceback" not in run.log
    assert not out.exists()
