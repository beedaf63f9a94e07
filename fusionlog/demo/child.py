"""fusionlog's own programs, run by the demo as a user would run them: a process each, with a log, ended by its id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from fusionlog.demo.errors import DemoError

POLL_SECONDS = 0.1
STOP_SECONDS = 30.0
TAIL_LINES = 25


class Child:
    """`fusionlog <arguments>` as a process; leaving the context ends it if it still runs.

    Args:
        arguments: what follows `fusionlog`.
        log_file: where its output goes.
        stop_signal: what it is asked to stop with.
    """

    def __init__(self, arguments: Sequence[str], log_file: Path, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        self._name = f"fusionlog {arguments[0]}"
        self._log_file = log_file
        self._stop_signal = stop_signal
        # Settings of the person who runs the demo must not leak into it.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FUSIONLOG_")}
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                [sys.executable, "-m", "fusionlog", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                # Ctrl-C on the terminal is the demo's to pass on, in the order in which things depend on each other.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            DemoError: it has ended; the error holds the end of its log.
        """
        code = self._process.poll()
        if code is not None:
            raise DemoError(f"`{self._name}` must go on, got exit code {code}", self.tail())

    def wait(self, timeout_seconds: float, tick: Callable[[], None]) -> None:
        """Wait until it ends well; `tick` is called all the while.

        Raises:
            DemoError: it failed, or did not end in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while (code := self._process.poll()) is None:
            if time.monotonic() > deadline:
                raise DemoError(f"`{self._name}` must end within {timeout_seconds:.0f} s, got no end", self.tail())
            tick()
            time.sleep(POLL_SECONDS)
        if code != 0:
            raise DemoError(f"`{self._name}` must end with exit code 0, got {code}", self.tail())

    def wait_until(
        self, met: Callable[[], bool], timeout_seconds: float, what: str, tick: Callable[[], None] = lambda: None
    ) -> None:
        """Wait for a condition while it runs; `tick` is called all the while.

        Raises:
            DemoError: it ended, or the condition did not come true in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while not met():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"{what} must come true within {timeout_seconds:.0f} s, it did not", self.tail())
            tick()
            time.sleep(POLL_SECONDS)

    def stop(self) -> int:
        """Ask it to stop, wait, and kill it when it does not; its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The end of its log."""
        return "\n".join(self._log_file.read_text("utf-8", errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
