"""Windows between gaps in the lines of a key."""

from detector.windowing.kinds.base import Decision, WindowKind
from detector.windowing.state import OpenWindow, Rule


class SessionWindows(WindowKind):
    """Lines of a key that follow each other by at most `idle_ms`."""

    needs_key = True  # without a key a session would have no end
    marks_truncated = True

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        # Beyond this a line of the closed session is late by the watermark itself.
        self.memory_ms = 2 * rule.idle_ms

    def decide(
        self, window: OpenWindow | None, time_ms: int, watermark_ms: int | None, closed_ms: int | None
    ) -> Decision:
        """A gap begins the next session; late is what belongs to a session that the watermark has closed."""
        idle_ms = self.rule.idle_ms
        if window is not None:
            return Decision.NEXT if time_ms - window.max_ms > idle_ms else Decision.JOIN
        if watermark_ms is not None and (
            time_ms + idle_ms < watermark_ms or (closed_ms is not None and time_ms <= closed_ms + idle_ms)
        ):
            return Decision.LATE
        return Decision.JOIN

    def deadline_ms(self, window: OpenWindow) -> int:
        """The latest time at which a line could still join."""
        return window.max_ms + self.rule.idle_ms

    def quiet_ms(self, _lateness_ms: int) -> int:
        """The gap."""
        return self.rule.idle_ms
