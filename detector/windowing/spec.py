"""The settings of windows."""

from typing import Annotated

from pydantic import Field

from detector.settings import Frozen, RowOf
from detector.windowing.kinds import KINDS
from detector.windowing.kinds.base import WindowKind
from detector.windowing.state import Rule


class WindowSpec(Frozen):
    """How lines become windows (docs/streaming.md#windows; paper section II for `count`)."""

    kind: Annotated[str, RowOf(KINDS)] = Field(
        default="session", description="by gaps between lines of a key, by buckets of time, by number of lines"
    )
    idle_seconds: float = Field(default=21_600.0, gt=0, description="session: event-time gap that ends it")
    size_seconds: float = Field(default=60.0, gt=0, description="tumbling: length of a bucket of event time")
    max_lines: int = Field(default=512, ge=1, le=10_000, description="lines after which a window is cut; N for `count`")
    lateness_seconds: float = Field(
        default=10.0, ge=0, description="how far the watermark trails the newest event time"
    )
    max_future_seconds: float = Field(
        default=3_600.0, gt=0, description="a time further ahead of the clock is not believed"
    )

    def rule(self) -> Rule:
        """The part that decides membership, in milliseconds."""
        return Rule(self.kind, milliseconds(self.idle_seconds), milliseconds(self.size_seconds), self.max_lines)

    def make_kind(self) -> WindowKind:
        """The kind, with its rule."""
        return KINDS[self.kind](self.rule())

    @property
    def quiet_seconds(self) -> float | None:
        """Seconds of silence after which the clock may close windows; None where only data may (`count`)."""
        quiet_ms = self.make_kind().quiet_ms(milliseconds(self.lateness_seconds))
        return None if quiet_ms is None else quiet_ms / 1000


def milliseconds(seconds: float) -> int:
    """Whole milliseconds of a length of time, at least 1 for any above 0."""
    return max(1, round(seconds * 1000)) if seconds > 0 else 0
