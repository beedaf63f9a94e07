"""How much answers count."""

import numpy as np
import pytest

from trainer.learning.answer_weights import chance_right, weight_of


def test_an_answer_alone_is_as_right_as_its_confidence() -> None:
    """Where the other answers say nothing, the chance is the labeller's confidence, within its bounds."""
    confidences = np.array([0.3, 0.5, 0.8, 1.0])
    for label in (0.0, 1.0):
        found = chance_right(np.full(4, label), confidences, np.zeros(4))
        assert found == pytest.approx([0.5, 0.5, 0.8, 0.99])


def test_other_answers_support_or_contradict() -> None:
    """The same logit of the others raises the chance of one label and lowers that of the other, alike."""
    labels = np.array([1.0, 0.0])
    support, contradiction = chance_right(labels, np.array([0.7, 0.7]), np.array([2.0, 2.0]))
    assert support > 0.7 > contradiction
    mirrored = chance_right(1.0 - labels, np.array([0.7, 0.7]), np.array([-2.0, -2.0]))
    assert mirrored == pytest.approx([support, contradiction])


def test_a_guess_weighs_nothing_and_there_is_no_floor() -> None:
    """Chances up to one half weigh 0, above it twice the distance; a doubtful answer weighs little, not a minimum."""
    assert weight_of(np.array([0.0, 0.5, 0.55, 1.0])) == pytest.approx([0.0, 0.0, 0.1, 1.0])
