"""Signals that end a command, handled like Ctrl-C, so that the command stops what it has started."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def interrupted_by(numbers: Sequence[signal.Signals], word: str = "") -> Iterator[None]:
    """Inside, each of the signals raises KeyboardInterrupt in the main thread.

    `word` is printed at once on standard error, since stopping may take seconds.
    """

    def interrupt(*_: object) -> None:
        if word:
            # A handler can interrupt a print; the buffer of standard error cannot be entered twice.
            os.write(2, f"\nfusionlog: {word}\n".encode())
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
