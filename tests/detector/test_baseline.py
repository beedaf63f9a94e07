"""The stand-in before the first model."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest

from detector.errors import SnapshotError
from detector.model.baseline import NoveltyBaseline
from detector.model.runs import Runs

ROUTINE = (("a", 1), ("b", 2), ("c", 1))


def scores(baseline: NoveltyBaseline, windows: Iterable[Runs]) -> npt.NDArray[np.float64]:
    """Scores of windows that come one after the other."""
    return np.array([baseline.score(window) for window in windows])


@pytest.fixture
def warm() -> NoveltyBaseline:
    """A baseline that has seen twenty routine windows."""
    baseline = NoveltyBaseline(warmup_windows=20)
    scores(baseline, [ROUTINE] * 20)
    return baseline


def test_nothing_is_flagged_while_it_warms_up() -> None:
    """The first windows are all new, so none of them is flagged."""
    baseline = NoveltyBaseline(warmup_windows=20)

    assert not scores(baseline, [((f"e{index}", 1),) for index in range(20)]).any()
    assert baseline.warm


def test_a_new_template_is_flagged_once(warm: NoveltyBaseline) -> None:
    """After the warm-up a window with an unseen template reaches the threshold; the next one with it does not."""
    window = (("a", 1), ("new", 1))

    assert warm.new_templates(window) == ["new"]
    first, second = scores(warm, [window, window])
    assert first >= warm.threshold > second
    assert warm.new_templates(window) == []


def test_more_that_is_new_scores_higher(warm: NoveltyBaseline) -> None:
    """The share of new templates raises the score, which stays below 1."""
    few, many = scores(warm, [(*ROUTINE, ("n1", 1)), (("n2", 1), ("n3", 1), ("a", 1))])

    assert 0.5 <= few < many < 1


def test_a_window_of_unusual_length_is_flagged(warm: NoveltyBaseline) -> None:
    """Known events in a hundredfold amount are flagged, a doubled amount is not."""
    doubled, flooded = scores(warm, [(("a", 4), ("b", 4)), (("a", 5_000),)])

    assert doubled < warm.threshold <= flooded


def test_a_flood_of_new_templates_starts_the_warm_up_again(warm: NoveltyBaseline) -> None:
    """When everything is new, nothing is flagged until the baseline has warmed up again."""
    flood = scores(warm, [((f"f{index}", 1),) for index in range(400)])

    assert (flood[:15] >= warm.threshold).all()
    assert (flood[15:36] == 0).all()
    assert (flood >= warm.threshold).sum() < 200


def test_memory_is_bounded() -> None:
    """A million random templates take no more room than the limit."""
    baseline = NoveltyBaseline(warmup_windows=1, max_templates=50)
    scores(baseline, [((f"e{index}", 1),) for index in range(1_000)])

    assert len(baseline._templates) == 50
    assert len(baseline.dump()) < 2_000


def test_state_survives_a_restart(warm: NoveltyBaseline) -> None:
    """A loaded baseline goes on exactly as the one that was dumped."""
    stream = [ROUTINE, (("a", 3), ("z", 1)), (("z", 1),), (("b", 900),), ()]
    loaded = NoveltyBaseline.load(warm.dump(), warmup_windows=20)

    assert scores(loaded, stream).tolist() == scores(warm, stream).tolist()
    assert loaded.dump() == warm.dump()


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\x80\x04.",
        b"[]",
        b'{"version":1}',
        b'{"version":9,"windows":1,"warm_until":1,"templates":[],"recent":[],"length_mean":0,"length_variance":0}',
    ],
)
def test_a_state_that_cannot_be_read_is_refused(state: bytes) -> None:
    """Empty, foreign, incomplete or future state is an error with the advice to start anew."""
    with pytest.raises(SnapshotError, match="start it anew"):
        NoveltyBaseline.load(state)


@pytest.mark.parametrize("settings", [{"warmup_windows": 0}, {"max_templates": 0}])
def test_senseless_sizes_are_refused(settings: dict[str, int]) -> None:
    """Both sizes have a lower bound."""
    with pytest.raises(ValueError, match="must be ≥ 1"):
        NoveltyBaseline(**settings)
