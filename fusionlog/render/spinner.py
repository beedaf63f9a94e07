"""Shows that a long step is still running: a spinner on a terminal, a line every fifteen seconds elsewhere."""

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console

EVERY_SECONDS = 15.0


class Spinner:
    """Context manager around a long step, `what` (e.g. `training`); `clock` gives monotonic seconds."""

    def __init__(self, console: Console, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._what, self._clock = console, what, clock
        self._status = console.status(what)  # prints nothing where there is no terminal
        self._began = self._printed_at = clock()

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def update(self, part: str = "") -> None:
        """Show the seconds so far, and the part of the step that is running."""
        now = self._clock()
        text = f"{self._what} for {now - self._began:.0f} s{f', {part}' if part else ''}"
        if self._console.is_terminal:
            self._status.update(text)
        elif now - self._printed_at >= EVERY_SECONDS:
            self._printed_at = now
            self._console.print(f"   {text}", markup=False, soft_wrap=True)
