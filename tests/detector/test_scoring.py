"""Windows to probabilities."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from detector.errors import DetectorError
from detector.model.calibration import Calibration
from detector.model.detection_model import DetectionModel
from detector.model.runs import Runs, merged, run_lengths
from detector.model.scoring import Scorer, resolve_device
from detector.parsing.templates import template_id
from detector.testing import tiny_model


@pytest.fixture(scope="module")
def model() -> DetectionModel:
    """The model under test."""
    return tiny_model()


@pytest.fixture
def scorer(model: DetectionModel) -> Scorer:
    """A scorer of the model with empty caches."""
    return Scorer(model)


@pytest.fixture(scope="module")
def ids(model: DetectionModel) -> list[str]:
    """Ids of the model's templates, normal ones first."""
    return [info.id for info in model.templates]


def windows_of(ids: list[str], count: int) -> list[Runs]:
    """Seeded windows of the given events."""
    chance = np.random.default_rng(1)
    return [run_lengths([ids[at] for at in chance.integers(0, len(ids), chance.integers(1, 40))]) for _ in range(count)]


def test_runs_code_a_sequence_and_merge_neighbours() -> None:
    """Equal neighbors become one run, also after two ids turn out to be one event."""
    assert run_lengths(["a", "a", "b", "a"]) == (("a", 2), ("b", 1), ("a", 1))
    assert run_lengths([]) == ()
    assert merged([("a", 2), ("a", 1), ("b", 4)]) == (("a", 3), ("b", 4))


def test_the_trained_model_finds_anomalous_windows(scorer: Scorer, ids: list[str]) -> None:
    """A normal order scores below the threshold and one with a fault above."""
    normal, anomalous = scorer.score([run_lengths(ids[:4]), run_lengths([*ids[:2], ids[4]])], {})

    assert not scorer.is_anomalous(normal)
    assert scorer.is_anomalous(anomalous)


def test_threshold_itself_is_anomalous(model: DetectionModel) -> None:
    """A score that equals the threshold is an alert."""
    assert Scorer(dataclasses.replace(model, threshold=0.25)).is_anomalous(0.25)
    assert not Scorer(dataclasses.replace(model, threshold=0.25)).is_anomalous(0.2499)


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_scores_do_not_depend_on_batches_or_cache(model: DetectionModel, ids: list[str], batch_size: int) -> None:
    """Any batch size, any order, cached or not: the same scores within 1e-5."""
    windows = windows_of(ids, 300)
    reference = Scorer(model, batch_size=300, cache_size=0).score(windows, {})
    scorer = Scorer(model, batch_size=batch_size)

    backwards = scorer.score(windows[::-1], {})[::-1]
    again = scorer.score(windows, {})

    assert np.abs(backwards - reference).max() < 1e-5
    assert np.array_equal(again, backwards)
    assert reference.std() > 0.01


def calibrated(model: DetectionModel, calibration: Calibration) -> DetectionModel:
    """The model with another calibration."""
    return dataclasses.replace(model, calibration=calibration)


def test_calibration_divides_then_shifts(model: DetectionModel, ids: list[str]) -> None:
    """The calibrated logit is logit / temperature + bias, in probabilities."""
    window = [run_lengths(ids[:4])]
    raw = Scorer(calibrated(model, Calibration())).score(window, {})[0]

    score = Scorer(calibrated(model, Calibration(temperature=4.0, bias=0.5))).score(window, {})[0]

    expected = np.log(raw / (1 - raw)) / 4 + 0.5
    assert score == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-6)


def test_unknown_id_whose_text_matches_a_template_is_that_template(
    scorer: Scorer, model: DetectionModel, ids: list[str]
) -> None:
    """A worker's own id for a line of a model's template scores as that template, merged with its neighbors."""
    known = model.templates[0]
    with_alias = scorer.score([((ids[0], 2), ("alias", 1), (ids[1], 1))], {"alias": known.text})
    plain = scorer.score([((ids[0], 3), (ids[1], 1))], {})

    assert with_alias[0] == plain[0]
    assert scorer.resolve("alias", {}) == known.id


def test_unknown_text_is_embedded_from_its_own_words(scorer: Scorer, ids: list[str]) -> None:
    """A line that matches no template is scored by its words: one that reads like a fault scores like one."""
    texts = {"sick": "payment gateway refused the card again", "fine": "order=<NUM> packed in crate <NUM>"}
    sick, fine = scorer.score([((ids[0], 1), ("sick", 1)), ((ids[0], 1), ("fine", 1))], texts)

    assert sick > 0.5 > fine
    assert scorer.resolve("sick", texts) == "sick"


def test_novel_scores_depend_on_line_and_model_alone(model: DetectionModel, ids: list[str]) -> None:
    """Which other novel events share the batch, and what came before, changes nothing."""
    texts = {template_id(f"strange event {word}"): f"strange event {word}" for word in ("one", "two", "three", "four")}
    windows = [((ids[0], 1), (event_id, 2)) for event_id in texts]
    together = Scorer(model).score(windows, texts)
    scorer = Scorer(model)
    alone = [scorer.score([window], texts)[0] for window in reversed(windows)][::-1]

    assert np.abs(together - alone).max() < 1e-5


def test_missing_text_is_an_error(scorer: Scorer) -> None:
    """An id that is neither the model's nor in the texts is named, not scored as something else."""
    with pytest.raises(DetectorError, match="got none for 'mystery'"):
        scorer.score([(("mystery", 1),)], {})


def test_empty_windows_and_wordless_lines_give_numbers(scorer: Scorer) -> None:
    """No lines score 0.0; lines of punctuation give a finite score; nothing to score gives nothing."""
    scores = scorer.score([(), (("dots", 3),)], {"dots": "... --- ..."})

    assert scores[0] == 0.0
    assert 0 <= scores[1] <= 1
    assert scorer.score([], {}).shape == (0,)


def test_extreme_logits_do_not_overflow(model: DetectionModel, ids: list[str]) -> None:
    """Calibration to the extreme gives 0 and 1, never NaN or a warning."""
    for bias in (-1e9, 1e9):
        score = Scorer(calibrated(model, Calibration(bias=bias))).score([run_lengths(ids[:2])], {})[0]
        assert score == pytest.approx(float(bias > 0), abs=1e-9)


def test_caches_are_bounded(model: DetectionModel, ids: list[str]) -> None:
    """The score cache keeps to its size and drops what is unused for longest."""
    scorer = Scorer(model, cache_size=10)
    windows = [((ids[0], run),) for run in range(1, 31)]

    scorer.score(windows, {})
    assert len(scorer._scores) == 10
    scorer.score(windows[:3], {}, remember=False)
    assert len(scorer._scores) == 10


def test_repeats_are_computed_once(model: DetectionModel, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal windows, in one call or in later ones, cost one pass of the network."""
    scorer = Scorer(model)
    passes: list[int] = []
    forward = scorer._forward

    def counted(batch: Sequence[Runs]) -> list[float]:
        passes.append(len(batch))
        return forward(batch)

    monkeypatch.setattr(scorer, "_forward", counted)

    scorer.score([run_lengths(ids[:3])] * 5, {})
    scorer.score([run_lengths(ids[:3])], {})

    assert passes == [1]


def test_scorer_leaves_torch_and_the_model_alone(model: DetectionModel, ids: list[str]) -> None:
    """Loading and scoring draws no random number, changes no thread count, and copies the network."""
    state, threads, mode = torch.get_rng_state(), torch.get_num_threads(), model.network.training
    scorer = Scorer(model)
    before = scorer.score([run_lengths(ids[:3])], {}, remember=False)

    model.network.train()
    with torch.no_grad():
        for value in model.network.parameters():
            value.add_(1.0)
    after = scorer.score([run_lengths(ids[:3])], {}, remember=False)
    with torch.no_grad():
        for value in model.network.parameters():
            value.sub_(1.0)
    model.network.train(mode)

    assert np.array_equal(before, after)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_auto_takes_the_gpu_where_there_is_one(model: DetectionModel, ids: list[str]) -> None:
    """`auto` is a real device, and its scores are the CPU's within 1e-5."""
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    windows = windows_of(ids, 50)

    assert resolve_device("auto") == expected
    assert resolve_device("cpu") == "cpu"
    assert np.abs(Scorer(model, device="auto").score(windows, {}) - Scorer(model).score(windows, {})).max() < 1e-5


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"cache_size": -1}])
def test_senseless_sizes_are_refused(model: DetectionModel, settings: dict[str, int]) -> None:
    """Batch and cache sizes have lower bounds."""
    with pytest.raises(ValueError, match="batch_size must be"):
        Scorer(model, "cpu", **settings)
