"""Windows of a length of event time, one after the other."""

from detector.windowing.kinds.base import Decision, WindowKind
from detector.windowing.state import OpenWindow


class TumblingWindows(WindowKind):
    """Lines of a key whose times are in one bucket of `size_ms`."""

    def bucket(self, time_ms: int) -> int:
        """Number of the time's bucket since the epoch."""
        return time_ms // self.rule.size_ms

    def decide(
        self, _window: OpenWindow | None, time_ms: int, watermark_ms: int | None, _closed_ms: int | None
    ) -> Decision:
        """Late once the watermark has reached the end of the bucket."""
        end_ms = (time_ms // self.rule.size_ms + 1) * self.rule.size_ms
        return Decision.LATE if watermark_ms is not None and end_ms <= watermark_ms else Decision.JOIN

    def deadline_ms(self, window: OpenWindow) -> int:
        """Last millisecond of the bucket."""
        return (window.bucket + 1) * self.rule.size_ms - 1

    def quiet_ms(self, lateness_ms: int) -> int:
        """Length of a bucket plus lateness."""
        return self.rule.size_ms + lateness_ms
