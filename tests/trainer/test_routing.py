import numpy as np
import pytest

from detector.model.embedding import Embedder, idf_of
from trainer.learning.routing import EventSimilarity, event_similarities, route
from trainer.testing import corpus


def _similar(**cosines: float) -> dict[str, EventSimilarity]:
    return {event: EventSimilarity(cosine, "text") for event, cosine in cosines.items()}


def test_nearest_source_event_is_found_by_its_words() -> None:
    """Each event gets the cosine and the text of the most similar source event; without words it gets none."""
    source = ("connection refused by peer", "block received")
    embedder = Embedder(idf_of(source)[0], 1.0)
    found = event_similarities(embedder, {"a": "connection refused by host", "b": "<*>"}, source)
    assert found["a"].nearest == "connection refused by peer"
    assert 0.5 < found["a"].cosine < 1.0
    assert found["b"] == EventSimilarity(0.0, "")


def test_the_least_similar_event_decides_and_the_mean_cuts() -> None:
    """S is the minimum over events, tau its mean over windows with multiplicity, and a tie at tau is general."""
    windows = [["a"]] * 3 + [["a", "b"]] * 3 + [["a", "c"]] * 3
    routing = route(corpus(windows), _similar(a=0.9, b=0.5, c=0.1))
    assert routing.aggregation == "min"
    assert routing.scores.tolist() == [0.9, 0.5, 0.1]
    assert routing.tau == pytest.approx(0.5)
    assert routing.general.tolist() == [True, True, False]


def test_constant_scores_use_the_fallback() -> None:
    """An event in all windows that is the least similar everywhere makes s constant; the fallback leaves it out."""
    windows = [["x", "a"]] * 4 + [["x", "b"]] * 4 + [["x", "c"]] * 4 + [["x", "d"]] * 4
    routing = route(corpus(windows), _similar(x=0.05, a=0.9, b=0.6, c=0.3, d=0.2))
    assert routing.degenerate
    assert routing.aggregation == "min without backbone"
    assert routing.statistics is not None
    assert 0.05 < routing.statistics.general_share < 0.95


def test_without_similarity_something_is_still_general() -> None:
    """Where no event resembles the source, the routing is degenerate, and general is not empty."""
    routing = route(corpus([["a"], ["b"], ["a", "b"]]), _similar(a=0.0, b=0.0))
    assert routing.degenerate
    assert routing.general.any()


def test_order_and_repetition_within_a_window_do_not_matter() -> None:
    """S depends on the set of events alone."""
    similar = _similar(a=0.9, b=0.4, c=0.2)
    one = route(corpus([["a", "b"], ["c"], ["a"]]), similar)
    other = route(corpus([["b", "a", "a", "b"], ["c", "c"], ["a", "a"]]), similar)
    assert np.array_equal(one.scores, other.scores)
