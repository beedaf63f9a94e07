"""What the probes answer: whether the agent is alive and ready."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Health:
    """Answer of a probe: whether it passes, and details."""

    ok: bool
    detail: dict[str, object]


class Progress:
    """Liveness: no lag, or a position that moved within `stalled_seconds`."""

    def __init__(self, stalled_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stalled_seconds = stalled_seconds
        self._clock = clock
        self._moved_at = clock()
        self._positions: dict[object, int] = {}

    def observe(self, positions: dict[object, int], lag: int) -> Health:
        """Health by the positions and the lag of all partitions now."""
        now = self._clock()
        if lag <= 0 or positions != self._positions:
            self._moved_at = now
            self._positions = dict(positions)
        still = now - self._moved_at
        return Health(still < self._stalled_seconds, {"lag_records": lag, "seconds_without_progress": round(still, 1)})
