"""Do the topics say what they must? Windows against the independent cut, and one run against its replay."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from schemas.alert import Alert
from schemas.closed_window import ClosedWindow
from schemas.codec import encode
from testkit.reference_windows import Cut

SCORE_TOLERANCE = 1e-5
Place = tuple[str, int, int]
"""Key, partition and first offset of a window."""


@dataclass(frozen=True)
class Audit:
    """The `windows` topic against an independent cut of the same offsets.

    Attributes:
        lost: windows of the cut that the topic lacks.
        partial: windows on the topic whose lines are not those of the cut's window that starts there, or that start
            where no window of the cut does.
        repeated: records on the topic beyond one a window (allowed: at least once).
        contradictory: windows whose repeated records do not hold the same lines.
    """

    lost: int
    partial: int
    repeated: int
    contradictory: int


def audit(windows: Sequence[ClosedWindow], cuts: Sequence[Cut]) -> Audit:
    """Compare by key, partition and offsets; ids of the program under test are not trusted here."""
    expected = {_place(cut.key, cut.partition, cut.offsets): cut for cut in cuts}
    seen: dict[Place, set[tuple[int, ...]]] = {}
    for window in windows:
        place = _place(window.key, window.partition, window.offsets)
        seen.setdefault(place, set()).add(window.offsets)
    partial = sum(
        place not in expected or any(offsets != expected[place].offsets for offsets in found)
        for place, found in seen.items()
    )
    return Audit(
        lost=sum(place not in seen for place in expected),
        partial=partial,
        repeated=len(windows) - len(seen),
        contradictory=sum(len(found) > 1 for found in seen.values()),
    )


def first_by_id(windows: Iterable[ClosedWindow]) -> dict[str, ClosedWindow]:
    """One record a window id."""
    found: dict[str, ClosedWindow] = {}
    for window in windows:
        found.setdefault(window.id, window)
    return found


def members(window: ClosedWindow) -> bytes:
    """The window's record without what a replay may change: score, verdict and the replay mark."""
    return encode(msgspec.structs.replace(window, score=0.0, anomalous=False, replay=False))


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
    scores: dict[str, list[float]] = {}
    for window in (*first, *second):
        scores.setdefault(window.id, []).append(window.score)
    spread = max((max(found) - min(found) for found in scores.values()), default=0.0)
    return ReplayComparison(same, _alert_bytes(alerts[0]) == _alert_bytes(alerts[1]), spread)


def _bytes_by_id(windows: Iterable[ClosedWindow]) -> Mapping[str, frozenset[bytes]]:
    found: dict[str, set[bytes]] = {}
    for window in windows:
        found.setdefault(window.id, set()).add(members(window))
    return {window_id: frozenset(records) for window_id, records in found.items()}


def _alert_bytes(alerts: Iterable[Alert]) -> set[tuple[str, bytes]]:
    """Id and window of each alert; scores are compared on the windows topic, where every one stands."""
    return {(alert.id, encode(alert.data.window) + encode(alert.data.model)) for alert in alerts}


def _place(key: str, partition: int, offsets: tuple[int, ...]) -> Place:
    return key, partition, offsets[0]
