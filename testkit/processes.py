"""Programs of the project as processes: started with a log file, ended by their process id."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from testkit.errors import TestkitError

STOP_SECONDS = 60.0
LEAVE_SECONDS = 10.0
POLL_SECONDS = 0.05
TAIL_CHARACTERS = 3_000
ROOT = Path(__file__).resolve().parent.parent


class Program:
    """`fusionlog …` as a process of its own; leaving the context ends it if it still runs."""

    def __init__(self, arguments: Sequence[str], log_file: Path) -> None:
        self.arguments = tuple(arguments)
        self._log_file = log_file
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fusionlog", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=clean_environment(),
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def check_alive(self) -> None:
        """Raises TestkitError, with the end of the log, when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise TestkitError(f"`fusionlog {' '.join(self.arguments)}` ended with exit code {code}:\n{self._tail()}")

    def finish(self, timeout_seconds: float) -> None:
        """Wait until it ends by itself with exit code 0, else raise TestkitError."""
        try:
            code = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            self.kill()
            name = " ".join(self.arguments)
            raise TestkitError(f"`fusionlog {name}` must end in {timeout_seconds:.0f} s:\n{self._tail()}") from error
        if code != 0:
            self.check_alive()

    def kill(self) -> None:
        """SIGKILL, as a lost node would."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM and wait; the exit code.

        Raises:
            TestkitError: it does not end in time; it is killed then.
        """
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise TestkitError(f"the agent must end within {STOP_SECONDS:.0f} s of SIGTERM:\n{self._tail()}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:  # let the trainer end its Ray first
            os.kill(self._process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVE_SECONDS)
        self.kill()

    def _tail(self) -> str:
        return self._log_file.read_text(errors="replace")[-TAIL_CHARACTERS:]


def clean_environment() -> dict[str, str]:
    """The environment without settings of the person who runs the benchmark, which must not leak into the run."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FUSIONLOG_")}


def wait_until(met: Callable[[], bool], timeout_seconds: float, what: str, program: Program) -> None:
    """Wait for a condition while a program runs.

    Raises:
        TestkitError: the program ended, or the time is over.
    """
    deadline = time.monotonic() + timeout_seconds
    while not met():
        program.check_alive()
        if time.monotonic() > deadline:
            raise TestkitError(f"{what} did not come true within {timeout_seconds:.0f} s")
        time.sleep(POLL_SECONDS)
