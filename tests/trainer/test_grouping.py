"""Groups of signatures that get one label."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.model.runs import Runs
from trainer.data.signatures import Corpus, Signature, signature_id
from trainer.labelling.grouping import VIEWS, label_groups


def corpus_of(*rows: tuple[Runs, int]) -> Corpus:
    """A corpus of (runs, windows) rows."""
    return Corpus(
        system="s",
        texts={},
        signatures=[Signature(id=signature_id(runs), runs=runs, windows=windows) for runs, windows in rows],
        lines=1,
    )


ORDER = corpus_of(
    ((("a", 1), ("b", 1)), 5),
    ((("b", 1), ("a", 1)), 7),
    ((("a", 9), ("b", 1)), 1),
    ((("a", 10), ("b", 1)), 2),
    ((("a", 4), ("b", 1)), 1),
    ((("a", 2), ("b", 1)), 1),
    ((("c", 1),), 3),
)


@pytest.mark.parametrize(
    ("budget", "view", "groups"),
    [(100, "sequence", 7), (7, "sequence", 7), (6, "counts8", 5), (4, "counts3", 4), (3, "set", 2), (1, "set", 2)],
)
def test_the_finest_view_within_the_budget_is_taken(budget: int, view: str, groups: int) -> None:
    """Sequence, then counts to 8, then to 3, then the set; the set even where it does not fit."""
    found = label_groups(ORDER, budget)
    assert {group.view for group in found} == {view}
    assert len(found) == groups


def test_groups_and_members_are_ordered_by_windows() -> None:
    """The most frequent group first, and in it the most frequent signature."""
    first, *_ = label_groups(ORDER, 2)
    assert first.members[0] == 1
    assert first.windows == 17


def test_a_budget_of_nothing_is_refused() -> None:
    """At least one answer is needed."""
    with pytest.raises(ValueError, match="budget must be at least 1, got 0"):
        label_groups(ORDER, 0)


runs = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 12)), min_size=1, max_size=5).map(tuple)


@given(
    st.lists(st.tuples(runs, st.integers(1, 50)), min_size=1, max_size=25, unique_by=lambda row: row[0]),
    st.integers(1, 30),
)
def test_every_signature_is_in_exactly_one_group(rows: list[tuple[Runs, int]], budget: int) -> None:
    """Groups divide the corpus, members agree under the view, and the order of signatures does not matter."""
    corpus = corpus_of(*rows)
    groups = label_groups(corpus, budget)
    assert sorted(index for group in groups for index in group.members) == list(range(len(rows)))
    assert sum(group.windows for group in groups) == corpus.windows
    view = VIEWS[groups[0].view]
    for group in groups:
        assert len({view(corpus.signatures[index]) for index in group.members}) == 1
    shuffled = list(rows)
    random.Random(0).shuffle(shuffled)
    others = label_groups(corpus_of(*shuffled), budget)
    assert [(group.id, group.windows) for group in others] == [(group.id, group.windows) for group in groups]
