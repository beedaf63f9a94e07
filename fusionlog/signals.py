"""Signals that end a command, treated as Ctrl-C, so that what is running is cleared away."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupted_by(numbers: Sequence[signal.Signals], word: str = "") -> Iterator[None]:
    """Inside, each of the signals raises KeyboardInterrupt in the main thread.

    Args:
        numbers: the signals.
        word: said at once on standard error, since clearing away may take seconds.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        if word:
            # A handler may come in the middle of a print, whose buffer takes no second one.
            os.write(2, f"\nfusionlog: {word}\n".encode())
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
