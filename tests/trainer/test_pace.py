"""The pace of a training."""

import numpy as np

from trainer.learning.pace import Pace


def sizes(losses: list[float], longest: int) -> list[float]:
    """Sizes of all steps of a training whose batches have these losses."""
    pace = Pace(longest)
    found: list[float] = []
    while (size := pace.next(losses[: len(found)])) is not None:
        found.append(size)
    return found


def test_a_loss_that_falls_is_followed_to_the_end() -> None:
    """While the loss falls by more than a few percent per span, all batches are used; steps grow, stay and shrink."""
    found = sizes([float(np.exp(-step / 100)) for step in range(500)], 500)
    assert len(found) == 500
    assert found[:50] == sorted(found[:50])
    assert set(found[50:349]) == {1.0}
    assert found[350:] == sorted(found[350:], reverse=True)
    assert 0.0 < found[-1] < 0.05


def test_training_ends_when_the_loss_does() -> None:
    """A loss that stays where it is ends the training after the steps have shrunk, long before the last batch."""
    found = sizes([1.0 if step < 60 else 0.2 for step in range(500)], 500)
    assert len(found) == 350
    assert found[199] == 1.0
    assert found[-1] < 0.05


def test_a_short_training_has_all_its_batches() -> None:
    """One, two or thirty batches are what was asked for, none of size 0."""
    for longest in (1, 2, 30):
        found = sizes([0.5] * longest, longest)
        assert len(found) == longest
        assert min(found) > 0.0
