"""Shows the progress records of a training run: bars on a terminal, log lines elsewhere, JSON lines in a file."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOBase
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from broker.errors import SettingsError
from trainer.progress import ProgressRecord, Stage, encode_record

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

    def __call__(self, record: ProgressRecord) -> None:
        """A stage ends the last bar and begins one; a count moves the bar."""
        if isinstance(record, Stage):
            self._end_stage()
            self._task = self._bars.add_task(record.name, total=record.total)
        elif self._task is not None:
            self._bars.advance(self._task, record.steps)

    def _end_stage(self) -> None:
        if self._task is not None:
            # A total may have been an estimate (offsets of a compacted topic): what was done is all there was.
            done = self._bars.tasks[self._task].completed or 1
            self._bars.update(self._task, total=done, completed=done)


class LogProgress:
    """A log line when a stage begins and every ten seconds within it, even without a count. Context manager."""

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

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._heart.join()

    def __call__(self, record: ProgressRecord) -> None:
        """Log that a stage begins, or count its steps."""
        if not isinstance(record, Stage):
            self._done += record.steps
            return
        self._stage, self._total, self._done, self._began = record.name, record.total, 0, time.monotonic()
        structlog.get_logger(__name__).info("stage", stage=record.name, total=record.total)

    def _beat(self) -> None:
        while not self._ended.wait(LOG_SECONDS):
            seconds = round(time.monotonic() - self._began)
            if self._stage and seconds >= LOG_SECONDS / 2:  # a stage that has just begun has just been logged
                structlog.get_logger(__name__).info(
                    "progress", stage=self._stage, done=self._done, total=self._total, seconds=seconds
                )


@contextmanager
def show_progress(file: Path | None = None) -> Iterator[Callable[[ProgressRecord], None]]:
    """A receiver of records: bars where standard error is a terminal, log lines where it is not.

    Args:
        file: overwritten; gets every record as a line of JSON, which `trainer.progress.decode_records` reads.

    Raises:
        SettingsError: the file cannot be written.
    """
    with ExitStack() as stack:
        show: Callable[[ProgressRecord], None] = (
            stack.enter_context(BarProgress()) if sys.stderr.isatty() else stack.enter_context(LogProgress())
        )
        if file is None:
            yield show
            return
        try:
            lines = stack.enter_context(file.open("wb", buffering=0))
        except OSError as error:
            raise SettingsError(
                f"--progress-file must be a file that can be written, got {str(file)!r}: {error.strerror or error}"
            ) from None

        def write(record: ProgressRecord) -> None:
            lines.write(encode_record(record))
            show(record)

        yield write
