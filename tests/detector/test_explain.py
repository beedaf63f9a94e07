"""Explanations: leave-one-out contributions, nearest source event, whose knowledge."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from detector.model.detection_model import DetectionModel
from detector.model.explain import explain, log_odds
from detector.model.runs import Runs, run_lengths
from detector.model.scoring import Scorer
from detector.testing import SOURCE_TEXTS, tiny_model


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


def with_boundary(model: DetectionModel, boundary: float) -> DetectionModel:
    """The model with another boundary between general and proprietary."""
    return dataclasses.replace(model, general_cosine=boundary)


def test_the_fault_carries_the_score(scorer: Scorer, ids: list[str], model: DetectionModel) -> None:
    """The anomalous event leads, with the score that goes when it goes."""
    window = run_lengths([ids[0], ids[1], ids[4], ids[1]])
    whole, without = scorer.score([window, ((ids[0], 1), (ids[1], 2))], {})

    contributions, nearest, _ = explain(scorer, window, {})

    assert contributions[0].event_id == ids[4]
    assert contributions[0].text == model.templates[4].text
    assert contributions[0].contribution == pytest.approx(log_odds(whole) - log_odds(without), abs=1e-6)
    assert [found.count for found in contributions if found.event_id == ids[1]] == [2]
    assert nearest is not None
    assert (nearest.text, nearest.cosine) == (model.templates[4].nearest_source, model.templates[4].source_cosine)


def test_novel_events_are_marked_and_find_their_source(scorer: Scorer, ids: list[str]) -> None:
    """An event that the model lacks is novel, and its nearest source event is looked up by its own words."""
    texts = {"x": "request refused by gateway twice"}
    contributions, nearest, _ = explain(scorer, ((ids[0], 1), ("x", 2)), texts)

    novel = {found.event_id: found for found in contributions}["x"]
    assert (novel.novel, novel.count, novel.text) == (True, 2, texts["x"])
    assert contributions[0].event_id == "x"
    assert nearest is not None
    assert nearest.text == SOURCE_TEXTS[1]
    assert 0.5 < nearest.cosine <= 1


def test_an_alias_is_explained_as_its_template(scorer: Scorer, model: DetectionModel, ids: list[str]) -> None:
    """Two ids of one template are one contribution, not novel."""
    contributions, _, _ = explain(scorer, ((ids[0], 1), ("alias", 2)), {"alias": model.templates[0].text})

    assert [(found.event_id, found.count, found.novel) for found in contributions] == [(ids[0], 3, False)]


def test_knowledge_is_decided_by_the_event_least_like_the_source(model: DetectionModel, ids: list[str]) -> None:
    """At the least cosine itself the window is general (a tie), just above it proprietary."""
    window = run_lengths(ids[:4])
    least = min(info.source_cosine for info in model.templates[:4])

    assert explain(Scorer(with_boundary(model, least)), window, {})[2] == "general"
    assert explain(Scorer(with_boundary(model, least + 1e-6)), window, {})[2] == "proprietary"


def test_no_source_likeness_is_no_nearest_event(model: DetectionModel) -> None:
    """Without a source there is nothing to name, and the knowledge is the system's own."""
    bare = dataclasses.replace(model, source_texts=())
    _, nearest, knowledge = explain(Scorer(bare), (("x", 1),), {"x": "quux frobnicated"})

    assert nearest is None
    assert knowledge == "proprietary"
    assert explain(Scorer(bare), (), {}) == ([], None, "general")


def test_limit_and_cost_are_bounded(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of hundreds of distinct events takes one bounded call, fills no cache, and yields `limit`."""
    texts = {f"n{index}": f"event of kind {chr(97 + index % 26)}{chr(97 + index // 26)}x" for index in range(200)}
    calls: list[int] = []
    score = scorer.score

    def counted(windows: Sequence[Runs], texts: Mapping[str, str], *, remember: bool) -> Any:
        calls.append(len(windows))
        return score(windows, texts, remember=remember)

    monkeypatch.setattr(scorer, "score", counted)

    contributions, _, _ = explain(scorer, tuple((event_id, 1) for event_id in texts), texts, limit=3)

    assert len(contributions) == 3
    assert calls == [65]
    assert len(scorer._scores) == 0
    values = [found.contribution for found in contributions]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("score", [0.0, 1.0, 0.5, 1.0 - 1e-16])
def test_log_odds_are_finite(score: float) -> None:
    """A saturated score still gives a number that JSON can carry, of the right sign."""
    assert abs(log_odds(score)) < 25
    assert (log_odds(score) > 0) == (score > 0.5)
