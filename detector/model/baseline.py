"""Scoring before the first model: by templates that were not seen before, and by unusual length.

The baseline learns from the stream while it scores it, so its scores depend on earlier windows; its alerts are marked
by version 0.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from math import log1p, sqrt

import msgspec

from detector.errors import SnapshotError
from detector.model.runs import Runs

_STATE_VERSION = 1
_RECENT_WINDOWS = 50
_FLOOD_WINDOWS = 15  # of the recent ones
_LENGTH_MEMORY = 2_000
_LENGTH_DEVIATIONS = 5.0
_LEAST_DEVIATION = 0.5  # of log(lines): a steady system must more than double its window before that is unusual


class _State(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    windows: int
    warm_until: int
    templates: list[str]
    recent: list[bool]
    length_mean: float
    length_variance: float


class NoveltyBaseline:
    """Scores windows by their share of new templates and by their length, after a warm-up; flags from 0.5.

    A template is new in the first window that holds it. A flood of new templates (a deployment, another
    application on the topic) is no sign of an anomaly: the baseline then warms up again instead of flagging everything.

    Args:
        warmup_windows: windows that are learned from but not scored.
        max_templates: templates that are remembered; the least recently seen are dropped first.
    """

    threshold = 0.5

    def __init__(self, warmup_windows: int = 200, max_templates: int = 50_000) -> None:
        if warmup_windows < 1 or max_templates < 1:
            raise ValueError(f"warmup_windows and max_templates must be ≥ 1, got {warmup_windows} and {max_templates}")
        self._warmup_windows = warmup_windows
        self._max_templates = max_templates
        self._templates: OrderedDict[str, None] = OrderedDict()
        self._recent: deque[bool] = deque(maxlen=_RECENT_WINDOWS)
        self._windows = 0
        self._warm_until = warmup_windows
        self._length_mean = 0.0
        self._length_variance = 0.0

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over."""
        return self._windows >= self._warm_until

    def score(self, window: Runs) -> float:
        """Score of the next window, in [0, 1), learning from it."""
        if not window:
            return 0.0
        distinct = list(dict.fromkeys(event_id for event_id, _ in window))
        new = sum(event_id not in self._templates for event_id in distinct)
        unusual_length = self._length_excess(log1p(sum(run for _, run in window)))
        warm = self.warm
        self._windows += 1
        self._remember(distinct)
        if not warm:
            return 0.0
        self._recent.append(new > 0)
        if sum(self._recent) > _FLOOD_WINDOWS:
            self._recent.clear()
            self._warm_until = self._windows + self._warmup_windows
            return 0.0
        # One new template reaches the threshold; more of them, beside fewer known ones, go towards 1.
        novelty = 0.5 + 0.49 * new / len(distinct) if new else 0.0
        return max(novelty, unusual_length)

    def new_templates(self, window: Runs) -> list[str]:
        """Ids in the window that were not seen before; call it before `score`, which learns them."""
        return [
            event_id
            for event_id in dict.fromkeys(event_id for event_id, _ in window)
            if event_id not in self._templates
        ]

    def dump(self) -> bytes:
        """State as JSON, at most one id for each remembered template."""
        return msgspec.json.encode(
            _State(
                version=_STATE_VERSION,
                windows=self._windows,
                warm_until=self._warm_until,
                templates=list(self._templates),
                recent=list(self._recent),
                length_mean=self._length_mean,
                length_variance=self._length_variance,
            )
        )

    @classmethod
    def load(cls, data: bytes, warmup_windows: int = 200, max_templates: int = 50_000) -> "NoveltyBaseline":
        """The baseline that `dump` wrote.

        Raises:
            SnapshotError: the bytes are not its state, or that of another release.
        """
        try:
            state = msgspec.json.decode(data, type=_State)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise SnapshotError(f"baseline state must be what dump wrote, got: {error}: start it anew") from error
        if state.version != _STATE_VERSION:
            raise SnapshotError(
                f"baseline state must be of version {_STATE_VERSION}, got {state.version}: start it anew"
            )
        baseline = cls(warmup_windows, max_templates)
        baseline._windows, baseline._warm_until = state.windows, state.warm_until
        baseline._remember(state.templates)
        baseline._recent.extend(state.recent)
        baseline._length_mean = state.length_mean
        baseline._length_variance = state.length_variance
        return baseline

    def _length_excess(self, length: float) -> float:
        """Score of a length that is unusual so far; then learn the length."""
        deviation = max(_LEAST_DEVIATION, sqrt(self._length_variance))
        excess = (length - self._length_mean) / (deviation * _LENGTH_DEVIATIONS)
        rate = 1 / min(self._windows + 1, _LENGTH_MEMORY)
        step = length - self._length_mean
        self._length_mean += rate * step
        self._length_variance = (1 - rate) * (self._length_variance + rate * step * step)
        return min(0.99, 0.5 * excess) if excess >= 1 else 0.0

    def _remember(self, event_ids: Sequence[str]) -> None:
        for event_id in event_ids:
            self._templates[event_id] = None
            self._templates.move_to_end(event_id)
        while len(self._templates) > self._max_templates:
            self._templates.popitem(last=False)
