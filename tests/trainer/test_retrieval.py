from itertools import permutations
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest
from structlog.testing import capture_logs

from detector.model.embedding import Embedder, idf_of
from trainer.labelling.retrieval import ExactIndex, MilvusIndex, Retrieval, RetrievalVectors
from trainer.testing import TEXTS, corpus, runs_of

EVENTS = (["recv", "check"], ["recv", "check", "pack"], ["gone"], ["ship", "close"])
WINDOWS = [runs_of(events) for events in EVENTS]
GROUPS = ["a", "b", "c", "d"]


@pytest.fixture
def vectors() -> RetrievalVectors:
    """Retrieval vectors of four windows."""
    windows = [events for events, count in zip(EVENTS, (9, 3, 1, 1), strict=True) for _ in range(count)]
    return RetrievalVectors(Embedder(idf_of(TEXTS.values())[0], 3.0), corpus(windows))


def _filled(vectors: RetrievalVectors, uri: str | None) -> Retrieval:
    retrieval = Retrieval(vectors, uri)
    retrieval.add(GROUPS, WINDOWS)
    return retrieval


def test_vectors_are_units_that_see_counts_and_rarity(vectors: RetrievalVectors) -> None:
    """More of an event moves a window, but not in proportion; order does not move it."""
    once, often, turned = vectors.of(
        [runs_of(["recv", "gone"]), runs_of(["recv", "gone", "gone"]), runs_of(["gone", "recv"])]
    )
    assert np.linalg.norm(once) == pytest.approx(1.0, abs=1e-6)
    assert np.allclose(once, turned)
    assert 0.9 < float(once @ often) < 1.0


def test_a_group_is_not_its_own_neighbor(vectors: RetrievalVectors) -> None:
    """Neighbors come nearest first, at most three, and never the group that asks."""
    found = _filled(vectors, None).neighbors(["a"], [WINDOWS[0]])[0]
    assert found[0].group == "b"
    assert "a" not in {match.group for match in found}
    assert len(found) == 3
    assert [match.similarity for match in found] == sorted((match.similarity for match in found), reverse=True)


def test_milvus_finds_what_exact_search_finds(vectors: RetrievalVectors, tmp_path: Path) -> None:
    """Milvus Lite gives the same groups and cosines as the search in memory, also after a repeated insert."""
    exact = _filled(vectors, None)
    milvus = _filled(vectors, str(tmp_path / "vectors.db"))
    try:
        assert milvus.index.name == "milvus"
        milvus.add(GROUPS, WINDOWS)
        for one, other in zip(exact.neighbors(GROUPS, WINDOWS), milvus.neighbors(GROUPS, WINDOWS), strict=True):
            assert {match.group for match in one} == {match.group for match in other}
            assert [m.similarity for m in one] == pytest.approx([m.similarity for m in other], abs=1e-4)
    finally:
        milvus.close()


def test_without_milvus_the_search_goes_on_in_memory_and_says_so(vectors: RetrievalVectors, tmp_path: Path) -> None:
    """A path that cannot be a database degrades by name, and answers are those of the exact search."""
    (tmp_path / "file").write_text("not a folder")
    with capture_logs() as logs:
        retrieval = _filled(vectors, str(tmp_path / "file" / "vectors.db"))
    assert retrieval.index.name == "exact"
    assert [log["event"] for log in logs] == ["retrieval.degraded"]
    assert retrieval.neighbors(["a"], [WINDOWS[0]])[0][0].group == "b"


def test_milvus_that_fails_midway_loses_nothing(
    vectors: RetrievalVectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the index breaks after answers were added, the search in memory has all of them."""
    retrieval = _filled(vectors, str(tmp_path / "vectors.db"))

    def broken(*_arguments: Any) -> Never:
        raise RuntimeError("gone")

    monkeypatch.setattr(MilvusIndex, "search", broken)
    found = retrieval.neighbors(["a"], [WINDOWS[0]])[0]
    assert isinstance(retrieval.index, ExactIndex)
    assert {match.group for match in found} == {"b", "c", "d"}


@pytest.mark.parametrize("count", [7, 23])
def test_equally_near_groups_come_in_the_same_order_from_either_index(
    count: int, vectors: RetrievalVectors, tmp_path: Path
) -> None:
    """Windows that differ in order alone are equally near: fewer of them than a search returns, and more."""
    orders = [runs_of(events) for events in permutations(["recv", "check", "pack", "ship"])][:count]
    groups = [f"{number * 5 % count:02d}" for number in range(count)]
    exact, milvus = Retrieval(vectors, None), Retrieval(vectors, str(tmp_path / "vectors.db"))
    try:
        exact.add(groups, orders)
        milvus.add(groups[::-1], orders[::-1])
        asked = ["new", "00", "05"], [WINDOWS[1], orders[0], orders[0]]
        expected = [["00", "01", "02"], ["01", "02", "03"], ["00", "01", "02"]]
        assert [[match.group for match in found] for found in exact.neighbors(*asked)] == expected
        assert milvus.neighbors(*asked) == exact.neighbors(*asked)
        assert milvus.index.name == "milvus"
    finally:
        milvus.close()
