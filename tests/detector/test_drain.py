"""The incremental Drain: learns, keeps verbs and status words, stays bounded, and is stored as text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.parsing.drain import IncrementalDrain, is_verb_or_status
from detector.parsing.templates import TemplateMatcher, template_id


def learn(*lines: str, **settings: Any) -> IncrementalDrain:
    """A drain that has seen these lines."""
    drain = IncrementalDrain(**settings)
    for line in lines:
        drain.learn(line)
    return drain


def test_what_a_line_teaches() -> None:
    """A first line makes a template, a like one generalises and replaces it, a third teaches nothing."""
    drain = IncrementalDrain()
    first = drain.learn("user alice opened door <NUM>")
    assert (first.template.text, first.created, first.replaces) == ("user alice opened door <NUM>", True, "")
    second = drain.learn("user bob opened door <NUM>")
    assert (second.template.text, second.created) == ("user <*> opened door <NUM>", False)
    assert second.replaces == first.template.id == template_id("user alice opened door <NUM>")
    third = drain.learn("user carol opened door <NUM>")
    assert (third.template, third.created, third.replaces) == (second.template, False, "")
    assert drain.dump() == ["user <*> opened door <NUM>"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VM Started (Lifecycle Event)", "VM Paused (Lifecycle Event)"),
        ("job <NUM> of the daily run succeeded", "job <NUM> of the daily run failed"),
        ("link to the peer is up", "link to the peer is down"),
        ("disk check of volume ok", "disk check of volume ERROR"),
        ("unit web changed state=active now", "unit web changed state=failed now"),
    ],
)
def test_verbs_and_status_words_are_not_merged(one: str, other: str) -> None:
    """Lines that differ in a verb or a status word mean different events and are not merged, in either order."""
    for lines in ((one, other), (other, one)):
        assert learn(*lines).dump() == sorted((one, other))


def test_a_wildcard_does_not_swallow_a_status_word() -> None:
    """Where a value varies, a status word that comes later still makes a template of its own."""
    drain = learn("task alpha is in queue now", "task beta is in queue now", "task stopped is in queue now")
    assert drain.dump() == ["task <*> is in queue now", "task stopped is in queue now"]


def test_what_is_protected() -> None:
    """Verbs and status words are protected also behind an equals sign; names, values and masks are not."""
    assert all(map(is_verb_or_status, ["Started", "terminating.", "FAILED,", "(up)", "status=ok", "no"]))
    assert not any(map(is_verb_or_status, ["alice", "<NUM>", "eth0", "<*>", "", "=", "blk_1", "red"]))


def test_state_is_carried_as_text() -> None:
    """Loading a dump gives the same templates, and learning goes on from them."""
    drain = learn("user alice opened door <NUM>", "user bob opened door <NUM>", "disk is full")
    copy = IncrementalDrain()
    copy.load(drain.dump())
    assert copy.templates() == drain.templates()
    again = copy.learn("user dave opened door <NUM>")
    assert (again.created, again.replaces, again.template.text) == (False, "", "user <*> opened door <NUM>")
    changed = copy.learn("user dave opened gate <NUM>")
    assert changed.replaces == template_id("user <*> opened door <NUM>")


def test_a_flood_of_templates_is_bounded() -> None:
    """Beyond max_clusters the oldest is forgotten, with everything kept about it."""
    drain = learn(*(f"w{number} " + "x " * (number % 7) for number in range(2_000)), max_clusters=50)
    assert len(drain.templates()) <= 50
    assert len(drain._templates) <= 100


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "c", "up", "down", "<NUM>"]), max_size=5).map(" ".join), max_size=30)
)
def test_every_learned_line_matches_afterwards(lines: list[str]) -> None:
    """A line that Drain learned from matches the templates once they are frozen, and keeps its status words."""
    matcher = TemplateMatcher(learn(*lines).templates())
    for line in lines:
        found = matcher.match(line)
        assert found is not None
        for word, token in zip(found.text.split(), line.split(), strict=True):
            assert word == token or (word == "<*>" and token not in {"up", "down"})
