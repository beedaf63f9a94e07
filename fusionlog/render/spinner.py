"""Showing that something long goes on: a spinner on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console

EVERY_SECONDS = 15.0


class SignsOfLife:
    """Says what goes on and for how long. Context manager.

    Args:
        console: where it is said.
        what: what goes on, e.g. `training`.
        clock: monotonic seconds.
    """

    def __init__(self, console: Console, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._what, self._clock = console, what, clock
        self._status = console.status(what)  # shows nothing where there is no terminal
        self._began = self._told_at = clock()

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def tell(self, at: str = "") -> None:
        """Go on; `at` is the part that is being done."""
        now = self._clock()
        text = f"{self._what} for {now - self._began:.0f} s{f', {at}' if at else ''}"
        if self._console.is_terminal:
            self._status.update(text)
        elif now - self._told_at >= EVERY_SECONDS:
            self._told_at = now
            self._console.print(f"   {text}", markup=False, soft_wrap=True)
