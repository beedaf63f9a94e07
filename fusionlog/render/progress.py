"""Showing how far a training run is, as `trainer.progress.Progress`: bars on a terminal, log lines elsewhere."""

import logging
import sys
import threading
import time
from io import TextIOBase
from types import TracebackType
from typing import Self, TextIO

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

LOG_SECONDS = 10.0


class _AboveBars(TextIOBase):
    """A stream for a log handler: whole lines, printed by the console that draws the bars.

    Rich's own stand-in for standard error breaks lines at the width of the terminal, and a pattern in them with it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str, /) -> int:
        """Print lines."""
        self._console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)
        return len(text)


class BarProgress:
    """One bar a stage, on standard error; log lines are printed above the bars. Context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
        )
        self._handlers: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        # Log handlers hold standard error itself and would write into the bars.
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
                self._handlers.append((handler, handler.stream))
                handler.setStream(_AboveBars(self._bars.console))
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._end_stage()
        self._bars.stop()
        for handler, stream in self._handlers:
            handler.setStream(stream)
        self._handlers.clear()

    def stage(self, name: str, total: int | None = None) -> None:
        """End the last bar and begin one."""
        self._end_stage()
        self._task = self._bars.add_task(name, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bars.advance(self._task, steps)

    def _end_stage(self) -> None:
        if self._task is not None:
            # A total may have been an estimate (offsets of a compacted topic): what was done is all there was.
            done = self._bars.tasks[self._task].completed or 1
            self._bars.update(self._task, total=done, completed=done)


class LogProgress:
    """A log line when a stage begins and every ten seconds within it, even if no step is told. Context manager."""

    def __init__(self) -> None:
        self._stage = ""
        self._total: int | None = None
        self._done = 0
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._heart.join()

    def stage(self, name: str, total: int | None = None) -> None:
        """Log that a stage begins."""
        self._stage, self._total, self._done, self._began = name, total, 0, time.monotonic()
        structlog.get_logger(__name__).info("stage", stage=name, total=total)

    def advance(self, steps: int = 1) -> None:
        """Count."""
        self._done += steps

    def _beat(self) -> None:
        while not self._ended.wait(LOG_SECONDS):
            seconds = round(time.monotonic() - self._began)
            if self._stage and seconds >= LOG_SECONDS / 2:  # a stage that has just begun has just been logged
                structlog.get_logger(__name__).info(
                    "progress", stage=self._stage, done=self._done, total=self._total, seconds=seconds
                )


def progress_for_people() -> BarProgress | LogProgress:
    """Bars where standard error is a terminal, log lines where it is not."""
    return BarProgress() if sys.stderr.isatty() else LogProgress()
