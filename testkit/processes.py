"""Programs as managed processes: started with a log file, watched, and ended by their process id."""

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from testkit.errors import ProcessError, TestkitError

STOP_SECONDS = 60.0
WAIT_SECONDS = 90.0
POLL_SECONDS = 0.1
TAIL_LINES = 25
HOST = "127.0.0.1"
# Below Linux's range for outgoing connections (from 32768): a client that keeps trying a dead port inside that range
# can connect to itself and so take the port before the broker is back.
PORTS = range(20_000, 32_000)
ROOT = Path(__file__).resolve().parent.parent
"""Where the packages lie that this process imports; its children import the same ones."""

T = TypeVar("T")


class ManagedProcess:
    """A program as a process of its own; leaving the context ends it, and so does the end of this process.

    Args:
        command: the program and its arguments.
        log_file: its output is appended here.
        name: what errors call it; the command without.
        environment: variables on top of this process's own.
        stop_signal: the signal that `stop` sends first.
        orphan_signal: the signal that it gets when this process is killed.
        stop_seconds: how long it may take to stop before it is killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        log_file: Path,
        *,
        name: str = "",
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals = signal.SIGTERM,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.name = name or " ".join(command)
        self.log_file = log_file
        self._stop_signal = stop_signal
        self._stop_seconds = stop_seconds
        self._paused = False
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*_signal_when_orphaned(orphan_signal), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=clean_environment() | dict(environment or {}),
                # Ctrl-C on the terminal reaches this process alone, which ends the others in its own order.
                start_new_session=True,
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """What it has written."""
        return self.log_file.read_text("utf-8", errors="replace")

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The end of its log."""
        return "\n".join(self.log.splitlines()[-lines:])

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            ProcessError: it has ended.
        """
        code = self._process.poll()
        if code is not None:
            raise ProcessError(f"`{self.name}` must go on, got exit code {code}", self.tail())

    def wait_until(
        self,
        met: Callable[[], T],
        what: str,
        seconds: float = WAIT_SECONDS,
        tick: Callable[[], None] = lambda: None,
    ) -> T:
        """Wait for a condition while it runs, and return what the condition returned; `tick` is called meanwhile.

        Raises:
            ProcessError: it ended, or the condition did not come true in time.
        """

        def watched() -> T:
            self.check()
            tick()
            return met()

        try:
            return wait_until(watched, what, seconds)
        except ProcessError:
            raise
        except TestkitError as error:
            raise ProcessError(str(error), self.tail()) from error

    def wait_for_log(self, text: str, seconds: float = WAIT_SECONDS) -> None:
        """Wait until its log holds a text; the process may have ended since.

        Raises:
            ProcessError: it ended without the text, or did not write it in time.
        """

        def found() -> bool:
            ended = not self.running
            if text in self.log:
                return True
            if ended:
                self.check()
            return False

        try:
            wait_until(found, f"log line {text!r} of `{self.name}`", seconds)
        except ProcessError:
            raise
        except TestkitError as error:
            raise ProcessError(str(error), self.tail()) from error

    def wait(self, seconds: float = WAIT_SECONDS, tick: Callable[[], None] = lambda: None) -> int:
        """Wait until it ends by itself; its exit code. `tick` is called meanwhile.

        Raises:
            ProcessError: it did not end in time.
        """
        deadline = time.monotonic() + seconds
        while (code := self._process.poll()) is None:
            if time.monotonic() > deadline:
                raise ProcessError(f"`{self.name}` must end within {seconds:.0f} s, got no end", self.tail())
            tick()
            time.sleep(POLL_SECONDS)
        return code

    def finish(self, seconds: float, tick: Callable[[], None] = lambda: None) -> None:
        """Wait until it ends by itself with exit code 0.

        Raises:
            ProcessError: it failed, or did not end in time.
        """
        code = self.wait(seconds, tick)
        if code != 0:
            raise ProcessError(f"`{self.name}` must end with exit code 0, got {code}", self.tail())

    def kill(self) -> None:
        """SIGKILL, as a lost node would."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        atexit.unregister(self.kill)

    def pause(self) -> None:
        """SIGSTOP: it does nothing until `resume`."""
        self._signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """SIGCONT, after `pause`."""
        self._signal(signal.SIGCONT)
        self._paused = False

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting for the end."""
        self._signal(signal.SIGTERM)

    def stop(self, first: signal.Signals | None = None) -> int:
        """Ask it to stop, wait, and kill it when it does not; its exit code."""
        self._signal(first or self._stop_signal)
        if self._paused:
            self.resume()  # a stopped process handles no signal but SIGKILL
        try:
            return self._process.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        finally:
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _signal(self, name: signal.Signals) -> None:
        if self.running:
            os.kill(self._process.pid, name)


def fusionlog_command(*arguments: str) -> list[str]:
    """The command of `fusionlog <arguments>`."""
    return [sys.executable, "-m", "fusionlog", *arguments]


def fusionlog_process(arguments: Sequence[str], log_file: Path, **options: signal.Signals) -> ManagedProcess:
    """`fusionlog <arguments>` as a managed process."""
    name = f"fusionlog {' '.join(arguments)}"
    return ManagedProcess(fusionlog_command(*arguments), log_file, name=name, environment=import_path(), **options)


def import_path() -> dict[str, str]:
    """The variable that makes a child import the packages that this process imports."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}


def wait_until(met: Callable[[], T], what: str, seconds: float = WAIT_SECONDS) -> T:
    """Wait for a condition, and return what it returned.

    Raises:
        TestkitError: it did not come true in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := met()):
        if time.monotonic() > deadline:
            raise TestkitError(f"{what} must come true within {seconds:.0f} s, it did not")
        time.sleep(POLL_SECONDS)
    return found


def free_port() -> int:
    """A port that nobody listens on, outside the range of outgoing connections.

    Raises:
        TestkitError: there is none.
    """
    for _ in range(200):
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise TestkitError(f"no free port found between {PORTS.start} and {PORTS.stop}")


def clean_environment() -> dict[str, str]:
    """This process's environment without fusionlog's settings: those of its user must not reach what it starts."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FUSIONLOG_")}


def _signal_when_orphaned(name: signal.Signals) -> list[str]:
    """A prefix that makes the kernel signal the child when this process is killed, so that none is left behind.

    The kernel watches the thread that started the child, so the prefix is left out anywhere but on the main thread.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return []
    return [setpriv, "--pdeathsig", name.name.removeprefix("SIG"), "--"]
