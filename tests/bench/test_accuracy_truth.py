from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest

from bench.accuracy.cells import Cell, Inputs
from bench.accuracy.data import datasets
from bench.accuracy.data.windows import LabelledWindows
from tests.bench.tiny_system import SMALL, tiny_folder
from trainer.data.signatures import Corpus

CELL = Cell(
    target="shop",
    source="old-shop",
    method="default",
    labeller="recorded",
    protocol="P3",
    seed=0,
    fold=0,
    budget=None,
    vectors="hashed",
)


def source_of(folder: Path) -> Corpus:
    """A labelled source."""
    return datasets.source_corpus(datasets.folder(tiny_folder(folder, seed=9), None, "old-shop"))


def facts(target: LabelledWindows, source: Corpus, **changes: Any) -> Mapping[str, Any]:
    """Facts of one run of the shipped training, in the small."""
    return Inputs(target, lambda _seed: source, training=SMALL).run(replace(CELL, **changes)).facts


@pytest.mark.ray
@pytest.mark.parametrize("labeller", ["default", "recorded"])
def test_permuted_labels_of_the_target_give_the_same_model(labeller: str, tmp_path: Path) -> None:
    """The model is the same to the byte, whatever the target's labels are: they reach nothing that trains."""
    target = datasets.folder(tiny_folder(tmp_path / "shop"))
    source = source_of(tmp_path / "source")
    permuted = np.random.default_rng(1).permutation(target.anomalous)
    assert (permuted != target.anomalous).any()

    hashes = [
        facts(LabelledWindows(target.windows, truth), source, labeller=labeller)["model_sha256"]
        for truth in (target.anomalous, permuted)
    ]

    assert hashes[0] == hashes[1]


@pytest.mark.ray
def test_other_windows_give_another_model(tmp_path: Path) -> None:
    """The hash can differ: it does for the windows of another seed."""
    source = source_of(tmp_path / "source")
    targets = [datasets.folder(tiny_folder(tmp_path / f"shop{seed}", seed), None, "shop") for seed in (0, 1)]

    hashes = [facts(target, source)["model_sha256"] for target in targets]

    assert hashes[0] != hashes[1]


class Tripwire:
    """Stands for the truth, and fails whatever touches it."""

    __array_ufunc__ = None  # so that an array's `&` calls `__rand__`

    def __getattr__(self, name: str) -> Never:
        raise AssertionError(f"the truth was touched: {name}")

    def __rand__(self, other: object) -> Never:
        raise AssertionError("the truth was joined")


@pytest.mark.parametrize("method", ["labeller", "dictionary", "logistic_regression", "pca", "new-event"])
@pytest.mark.parametrize("protocol", ["P3", "P5"])
def test_no_method_touches_the_truth(method: str, protocol: str, tmp_path: Path) -> None:
    """Splitting and judging never look at the truth; joining it, after the verdicts, is what trips the wire."""
    windows = datasets.folder(tiny_folder(tmp_path / "shop")).windows
    inputs = Inputs(LabelledWindows(windows, Tripwire()), lambda _seed: source_of(tmp_path / "s"))  # type: ignore[arg-type]

    with pytest.raises(AssertionError, match="the truth was joined"):
        inputs.run(replace(CELL, method=method, protocol=protocol))
