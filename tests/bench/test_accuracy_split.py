from pathlib import Path

import numpy as np
import pytest

from bench.accuracy.data import datasets
from bench.accuracy.data.split import FOLDS, folds_of, resampled, split
from bench.accuracy.data.windows import LabelledWindows
from bench.errors import MisuseError
from tests.bench.tiny_system import tiny_folder


@pytest.fixture
def target(tmp_path: Path) -> LabelledWindows:
    """The small system."""
    return datasets.folder(tiny_folder(tmp_path / "shop"))


def test_p3_halves_the_windows_anew_for_each_seed(target: LabelledWindows) -> None:
    """Halves are disjoint and complete, the same for a seed and others for another one."""
    part = split(target, "P3", 0)

    assert part.pool.sum() == len(part.pool) // 2
    assert (part.pool ^ part.test).all()
    assert (part.pool == split(target, "P3", 0).pool).all()
    assert (part.pool != split(target, "P3", 1).pool).any()


def test_p5_hides_whole_signatures(target: LabelledWindows) -> None:
    """Each signature is in the test part of one fold, and in no pool of that fold."""
    windows = target.windows
    tested = np.zeros(len(windows.row), np.int64)
    for fold in range(folds_of("P5")):
        part = split(target, "P5", 0, fold)
        tested += part.test
        signatures = windows.clusters[windows.row]
        assert not set(signatures[part.pool]) & set(signatures[part.test])
    assert folds_of("P5") == FOLDS
    assert (tested == 1).all()


def test_p4_is_balanced_and_transductive(target: LabelledWindows) -> None:
    """As many anomalous as normal windows, the same ones in pool and test part."""
    part = split(target, "P4", 0)

    assert (part.pool == part.test).all()
    assert target.anomalous[part.pool].sum() == (~target.anomalous)[part.pool].sum() == target.anomalous.sum()


def test_p1_needs_times(target: LabelledWindows) -> None:
    """Sequences cannot be cut in time, and the error says what can."""
    with pytest.raises(MisuseError, match="bgl"):
        split(target, "P1", 0)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
def test_a_share_of_anomalies_holds_in_both_parts(share: float, target: LabelledWindows) -> None:
    """Windows of one class are left out at random; none is added."""
    whole = split(target, "P3", 0)

    part = resampled(target, whole, share, 0)

    for kept, before in ((part.pool, whole.pool), (part.test, whole.test)):
        assert not (kept & ~before).any()
        assert target.anomalous[kept].mean() == pytest.approx(share, abs=0.01)
