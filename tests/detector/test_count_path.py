"""The path for counts beside the network."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from detector.artifact.export import pack, unpack
from detector.errors import ArtifactError
from detector.model.calibration import sigmoid
from detector.model.count_path import CountPath, EventCounts, joined
from detector.model.detection_model import DetectionModel
from detector.model.explain import explain
from detector.model.runs import Runs
from detector.model.scoring import Scorer
from detector.testing import SYSTEM, tiny_model

ROW_OF = {"a": 0, "b": 1}
PATH = CountPath(np.array([[2.0, 0.5], [-1.0, 0.0]], np.float32), -0.25)


def test_logits_count_lines_and_presence_of_known_events() -> None:
    """The logit is the bias, and for each known event weight * ln(1 + lines) + weight, however the lines lie."""
    windows: list[Runs] = [(("a", 3), ("b", 1), ("a", 4)), (("x", 9),), (("b", 2),)]
    found = PATH.logits(EventCounts.of(windows, ROW_OF))
    assert found == pytest.approx([2 * np.log(8) + 0.5 - np.log(2) - 0.25, -0.25, -np.log(3) - 0.25])


def test_no_window_is_no_logit() -> None:
    """An empty batch gives an empty result, not an error."""
    assert PATH.logits(EventCounts.of([], ROW_OF)).shape == (0,)


def with_counts(model: DetectionModel, weight: Callable[[int], float]) -> DetectionModel:
    """The model with a path that weighs the lines of template number n by `weight(n)`."""
    weights = np.array([[weight(row), 0.0] for row in range(len(model.templates))], np.float32)
    return dataclasses.replace(model, count_path=CountPath(weights, 0.5))


def test_a_score_is_the_mean_of_both_paths_in_any_batch() -> None:
    """A score joins network and counts before the calibration, and does not depend on the other windows."""
    plain = tiny_model()
    model = with_counts(plain, lambda row: 0.3 * row - 0.7)
    ids = [info.id for info in model.templates]
    windows: list[Runs] = [((ids[0], 2), (ids[1], 1)), ((ids[2], 7), (ids[0], 1), (ids[2], 5))]
    together = Scorer(model).score(windows, {})
    alone = [float(Scorer(model).score([window], {})[0]) for window in windows]
    assert together == pytest.approx(alone, abs=1e-7)
    network = Scorer(plain).score(windows, {})
    logits = (np.log(network / (1 - network)) - plain.calibration.bias) * plain.calibration.temperature
    assert model.count_path is not None
    row_of = {event: row for row, event in enumerate(ids)}
    counts = model.count_path.logits(EventCounts.of(windows, row_of))
    assert together == pytest.approx(model.calibration.probabilities(joined(logits, counts)), abs=1e-4)


def test_explanations_hold_what_counts_contribute() -> None:
    """An event that only the count path knows as bad leads the explanation."""
    model = with_counts(tiny_model(), lambda row: 3.0 if row == 1 else 0.0)
    ids = [info.id for info in model.templates]
    contributions, _, _ = explain(Scorer(model), ((ids[0], 1), (ids[1], 6), (ids[2], 1)), {})
    assert contributions[0].event_id == ids[1]
    assert contributions[0].contribution > 0.0


def test_events_of_no_template_count_nothing() -> None:
    """A new event leaves the logit of the count path as it is, so that only the network judges its words."""
    model = with_counts(tiny_model(), lambda _row: 0.0)
    known = model.templates[0].id
    assert model.count_path is not None
    row_of = {info.id: row for row, info in enumerate(model.templates)}
    one, other = model.count_path.logits(EventCounts.of([((known, 1),), ((known, 1), ("new", 50))], row_of))
    assert one == other
    assert sigmoid(np.array([one]))[0] == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_an_artifact_keeps_the_path(packed: Callable[[CountPath | None], dict[str, bytes]]) -> None:
    """What was packed is what is loaded, and a model without a path is loaded without one."""
    rows = len(unpack(packed(None)).templates)
    path = CountPath(np.linspace(-1, 1, 2 * rows, dtype=np.float32).reshape(rows, 2), -0.125)
    loaded = unpack(packed(path)).count_path
    assert loaded is not None
    assert np.array_equal(loaded.weights, path.weights)
    assert loaded.bias == path.bias
    assert unpack(packed(None)).count_path is None


def test_a_path_of_the_wrong_size_is_refused(packed: Callable[[CountPath | None], dict[str, bytes]]) -> None:
    """A path without a row for each template does not load."""
    with pytest.raises(ArtifactError, match=r"counts\.weights"):
        packed(CountPath(np.zeros((1, 2), np.float32), 0.0))


@pytest.fixture
def packed() -> Callable[[CountPath | None], dict[str, bytes]]:
    """Packs the tiny model with a count path."""
    model = tiny_model()

    def make(path: CountPath | None) -> dict[str, bytes]:
        return pack(
            spec=SYSTEM,
            templates=model.templates,
            source_texts=model.source_texts,
            embedder=model.embedder,
            network=model.network,
            count_path=path,
            labeller="heuristic",
            created_ms=0,
            golden_runs=[((model.templates[0].id, 2),)],
        )

    return make
