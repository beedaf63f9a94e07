import pytest

from loggen.engine import dice_of
from loggen.faults import breaks, disturbs, overtakes, skips, storms
from loggen.values import fill
from loggen.wording import Wording
from loggen.workflow import Change, Maybe, Repeat, Say, chain, mixed, one_of, walk


def steps(says):
    """The steps of lines."""
    return [say.step for say in says]


def says(*names):
    """A line a step, which says its name."""
    return [Say(name, name) for name in names]


def test_a_chain_keeps_its_order():
    """The parts of a chain come one after another."""
    assert steps(walk(chain(*says("a", "b", "c")), dice_of(1, "test"))) == ["a", "b", "c"]


def test_mixed_lanes_interleave_but_each_keeps_its_order():
    """Parts that run side by side mix, and no part is reordered."""
    part = mixed(chain(*says("a1", "a2", "a3")), chain(*says("b1", "b2", "b3")))
    seen = {tuple(steps(walk(part, dice_of(seed, "test")))) for seed in range(50)}
    assert len(seen) > 5
    assert all([step for step in run if step[0] == "a"] == ["a1", "a2", "a3"] for run in seen)
    assert all([step for step in run if step[0] == "b"] == ["b1", "b2", "b3"] for run in seen)


def test_repeat_maybe_and_one_of_stay_within_what_they_say():
    """Counts stay in their bounds and every alternative comes up."""
    part = chain(Repeat(2, 4, Say("r", "")), Maybe(0.5, Say("m", "")), one_of((1, Say("x", "")), (1, Say("y", ""))))
    runs = [steps(walk(part, dice_of(seed, "test"))) for seed in range(100)]
    assert {run.count("r") for run in runs} == {2, 3, 4}
    assert {run.count("m") for run in runs} == {0, 1}
    assert {run[-1] for run in runs} == {"x", "y"}


def test_a_break_ends_the_session_with_its_symptom():
    """What followed the broken step is replaced by symptom and ending."""
    edit = breaks(("b",), Say("bad", ""), Say("end", ""))
    assert steps(edit(says("a", "b", "c"), dice_of(1, "test"))) == ["a", "bad", "end"]


def test_a_disturbance_leaves_the_session_whole():
    """The symptom is added and nothing is taken away."""
    assert steps(disturbs(("b",), Say("bad", ""))(says("a", "b", "c"), dice_of(1, "test"))) == ["a", "b", "bad", "c"]


def test_overtaking_changes_nothing_but_the_order():
    """An order fault has the very lines of a sound session, in another order."""
    sound = says("a", "early", "b", "late", "c")
    assert steps(overtakes("late", "early")(sound, dice_of(1, "test"))) == ["a", "late", "early", "b", "c"]


def test_a_storm_adds_only_lines_that_the_session_has_anyway():
    """A count fault says nothing new, only more often."""
    broken = steps(storms(("ask", "got"), 5, 5)(says("a", "ask", "got", "z"), dice_of(1, "test")))
    assert broken == ["a", "ask", "got", *["ask", "got"] * 5, "z"]


def test_a_skipped_step_is_the_only_difference():
    """A missing-step fault takes one step out and adds nothing."""
    assert steps(skips("b")(says("a", "b", "c"), dice_of(1, "test"))) == ["a", "c"]


@pytest.mark.parametrize(
    "edit",
    [
        breaks(("no",), Say("bad", "")),
        disturbs(("no",), Say("bad", "")),
        overtakes("a", "b"),
        storms(("no",), 1, 2),
        skips("no"),
    ],
)
def test_a_fault_without_a_place_asks_for_another_session(edit):
    """An edit that does not fit says so instead of leaving a failing session that looks sound."""
    assert edit(says("a", "b", "c"), dice_of(1, "test")) is None


def test_a_change_renames_and_adds():
    """A new version words a step anew and adds a line after another one."""
    change = Change({"a": "new words"}, (("b", Say("extra", "x"), 1.0),))
    changed = change.apply(says("a", "b", "b"), dice_of(1, "test"))
    assert [(say.step, say.text) for say in changed] == [("a", "new words"), ("b", "b"), ("extra", "x"), ("b", "b")]


def test_fields_are_drawn_within_their_bounds():
    """Numbers keep their bounds, hexadecimal fields their length, own values stay what they are."""
    for seed in range(50):
        number, digits, own = fill("{n:3-7} {hex:8} {$asset}", dice_of(seed, "test"), {"asset": "clip-1"}).split()
        assert 3 <= int(number) <= 7
        assert len(digits) == 8
        assert int(digits, 16) >= 0
        assert own == "clip-1"


def test_an_unknown_field_is_refused():
    """A mistyped field is an error, not a strange line."""
    with pytest.raises(KeyError, match="field must be"):
        fill("{nonsense}", dice_of(1, "test"), {})


def test_a_service_uses_one_word_throughout():
    """A choice of words is made once for a service, and services differ."""
    words = Wording(dice_of(1, "test"))
    assert len({words.text("<clip|asset> x") for _ in range(20)}) == 1
    assert {Wording(dice_of(seed, "test")).text("<clip|asset>") for seed in range(20)} == {"clip", "asset"}
