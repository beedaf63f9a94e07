"""What a kind of window decides. The defaults are those of windows that ignore time."""

from enum import Enum
from typing import ClassVar

from detector.windowing.state import OpenWindow, Rule


class Decision(Enum):
    """What becomes of a line: it joins its window (or begins one), begins the next window, or is late."""

    JOIN = "join"
    NEXT = "next"
    LATE = "late"


class WindowKind:
    """Which window a line belongs to, and when a window is closed: a function of the data alone.

    Attributes:
        needs_key: lines without a key are in no window, instead of sharing the windows of one key.
        marks_truncated: a window that was closed because it reached `max_lines` is marked as cut short.
        memory_ms: how long after its end a key's last window is remembered, to recognize late lines; 0: not at all.
    """

    needs_key: ClassVar[bool] = False
    marks_truncated: ClassVar[bool] = False
    memory_ms: int = 0

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def bucket(self, _time_ms: int) -> int:
        """Number of the window among the open ones of its key; 0 where a key has one open window at most."""
        return 0

    def decide(
        self, _window: OpenWindow | None, _time_ms: int, _watermark_ms: int | None, _closed_ms: int | None
    ) -> Decision:
        """What becomes of a line.

        Args:
            window: the open window of its key and bucket.
            time_ms: its time.
            watermark_ms: the watermark before the line; None before the first one.
            closed_ms: end of the key's last closed window, while it is remembered.
        """
        return Decision.JOIN

    def deadline_ms(self, _window: OpenWindow) -> int | None:
        """A window is closed once the watermark is above its deadline; None: the watermark never closes it."""
        return None

    def quiet_ms(self, _lateness_ms: int) -> int | None:
        """Silence after which the clock may close windows; None where only data may."""
        return None
