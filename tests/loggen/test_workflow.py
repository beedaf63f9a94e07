import pytest

from loggen.engine import rng_of
from loggen.values import fill
from loggen.wording import Wording
from loggen.workflow import Change, LogStatement, Maybe, Part, Repeat, chain, mixed, one_of, walk


def statements(*names: str) -> list[LogStatement]:
    """A line per step, whose text is the step's name."""
    return [LogStatement(name, name) for name in names]


def steps(part: Part, seed: int = 1) -> list[str]:
    """The steps of one run through a part."""
    return [statement.step for statement in walk(part, rng_of(seed, "test"))]


def test_a_chain_keeps_its_order() -> None:
    """The parts of a chain come one after another."""
    assert steps(chain(*statements("a", "b", "c"))) == ["a", "b", "c"]


def test_mixed_lanes_interleave_but_each_keeps_its_order() -> None:
    """Parts that run side by side mix, and no part is reordered."""
    part = mixed(chain(*statements("a1", "a2", "a3")), chain(*statements("b1", "b2", "b3")))
    seen = {tuple(steps(part, seed)) for seed in range(50)}
    assert len(seen) > 5
    assert all([step for step in run if step[0] == "a"] == ["a1", "a2", "a3"] for run in seen)
    assert all([step for step in run if step[0] == "b"] == ["b1", "b2", "b3"] for run in seen)


def test_repeat_maybe_and_one_of_stay_within_their_bounds() -> None:
    """Counts stay in their bounds and every alternative comes up."""
    repeated, optional, first, second = statements("r", "m", "x", "y")
    part = chain(Repeat(2, 4, repeated), Maybe(0.5, optional), one_of((1, first), (1, second)))
    runs = [steps(part, seed) for seed in range(100)]
    assert {run.count("r") for run in runs} == {2, 3, 4}
    assert {run.count("m") for run in runs} == {0, 1}
    assert {run[-1] for run in runs} == {"x", "y"}


def test_a_change_renames_and_adds() -> None:
    """A new version rewords one step and adds a line after another one."""
    change = Change({"a": "new words"}, (("b", LogStatement("extra", "x"), 1.0),))
    changed = change.apply(statements("a", "b", "b"), rng_of(1, "test"))
    assert [(statement.step, statement.text) for statement in changed] == [
        ("a", "new words"),
        ("b", "b"),
        ("extra", "x"),
        ("b", "b"),
    ]


def test_fields_are_drawn_within_their_bounds() -> None:
    """Numbers keep their bounds, hexadecimal fields their length, own values stay what they are."""
    for seed in range(50):
        number, digits, own = fill("{n:3-7} {hex:8} {$asset}", rng_of(seed, "test"), {"asset": "clip-1"}).split()
        assert 3 <= int(number) <= 7
        assert len(digits) == 8
        assert int(digits, 16) >= 0
        assert own == "clip-1"


def test_an_unknown_field_is_refused() -> None:
    """A mistyped field is an error, not a strange line."""
    with pytest.raises(KeyError, match="field must be"):
        fill("{nonsense}", rng_of(1, "test"), {})


def test_a_service_uses_one_word_throughout() -> None:
    """A choice of words is made once per service, and services differ."""
    words = Wording(rng_of(1, "test"))
    assert len({words.text("<clip|asset> x") for _ in range(20)}) == 1
    assert {Wording(rng_of(seed, "test")).text("<clip|asset>") for seed in range(20)} == {"clip", "asset"}
