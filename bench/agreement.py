"""One run of the agent against its replay."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from schemas.alert import Alert
from schemas.closed_window import ClosedWindow
from schemas.codec import encode

SCORE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class ReplayComparison:
    """A second replay of the same offsets against the first run."""

    same_windows: bool
    same_alerts: bool
    max_score_difference: float

    @property
    def identical(self) -> bool:
        """Ids and members byte-identical, scores within 1e-5."""
        return self.same_windows and self.same_alerts and self.max_score_difference <= SCORE_TOLERANCE


def compare(
    first: Sequence[ClosedWindow],
    second: Sequence[ClosedWindow],
    alerts: tuple[Sequence[Alert], Sequence[Alert]],
) -> ReplayComparison:
    """Every record of both runs: equal ids hold equal bytes, and both runs have the same ids."""
    bytes_first, bytes_second = _bytes_by_id(first), _bytes_by_id(second)
    same = bool(bytes_first) and bytes_first == bytes_second and all(len(found) == 1 for found in bytes_first.values())
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for window in (*first, *second):
        scores[window.id].append(window.score)
    spread = max((max(found) - min(found) for found in scores.values()), default=0.0)
    return ReplayComparison(same, _alert_bytes(alerts[0]) == _alert_bytes(alerts[1]), spread)


def _bytes_by_id(windows: Iterable[ClosedWindow]) -> dict[str, set[bytes]]:
    """The records of each window without the fields that a replay may change: score, verdict and the replay mark."""
    found: defaultdict[str, set[bytes]] = defaultdict(set)
    for window in windows:
        found[window.id].add(encode(msgspec.structs.replace(window, score=0.0, anomalous=False, replay=False)))
    return found


def _alert_bytes(alerts: Iterable[Alert]) -> set[tuple[str, bytes]]:
    """Id and window of each alert; scores are compared on the windows topic, which holds all of them."""
    return {(alert.id, encode(alert.data.window) + encode(alert.data.model)) for alert in alerts}
