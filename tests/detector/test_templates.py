"""Template ids, and the frozen matcher against the plain definition of a match."""

import random

from hypothesis import given
from hypothesis import strategies as st

from detector.parsing.templates import Template, TemplateMatcher, template_id

words = st.sampled_from(["a", "b", "c"])
lines = st.lists(words, max_size=4).map(" ".join)
template_texts = st.lists(st.lists(words | st.just("<*>"), max_size=4).map(" ".join), max_size=12)


def test_a_template_id_is_pinned() -> None:
    """Ids are content hashes, equal on every worker and in every version."""
    assert template_id("VM Started <*>") == "4279ce86117ebb42"


def test_most_constants_win_and_text_breaks_ties() -> None:
    """The most specific template is chosen; among equals the one whose text sorts first."""
    matcher = TemplateMatcher(map(Template.of, ["<*> <*>", "VM <*>", "<*> Paused", "VM Started"]))
    found = [matcher.match(line) for line in ("VM Started", "VM Paused", "x Paused", "x y")]
    assert [template and template.text for template in found] == [
        "VM Started",
        "<*> Paused",
        "<*> Paused",
        "<*> <*>",
    ]
    assert matcher.match("VM") is None
    assert TemplateMatcher([]).match("VM") is None


def test_the_empty_line_has_a_template_of_its_own() -> None:
    """A line of no tokens matches the empty template alone."""
    assert TemplateMatcher([Template.of("")]).match("") == Template.of("")
    assert TemplateMatcher([Template.of("<*>")]).match("") is None


@given(template_texts, lines, st.randoms(use_true_random=False))
def test_matching_is_by_definition_and_in_any_order(texts: list[str], line: str, random: random.Random) -> None:
    """The index finds what looking at every template finds, whatever order the templates come in."""
    tokens = line.split()
    fitting = [
        (-sum(word != "<*>" for word in text.split()), text)
        for text in texts
        if len(text.split()) == len(tokens)
        and all(word in ("<*>", token) for word, token in zip(text.split(), tokens, strict=True))
    ]
    expected = Template.of(min(fitting)[1]) if fitting else None
    assert TemplateMatcher(map(Template.of, texts)).match(line) == expected
    random.shuffle(texts)
    assert TemplateMatcher(map(Template.of, texts)).match(line) == expected


def test_thousands_of_templates_share_few_look_ups() -> None:
    """The matcher keeps one table per set of wildcard positions, not one step per template."""
    texts = [f"service {number} said <*> again" for number in range(5_000)]
    matcher = TemplateMatcher(map(Template.of, texts))
    assert len(matcher._shapes[5]) == 1
    assert all(matcher.match(text.replace("<*>", "word")) == Template.of(text) for text in texts)
