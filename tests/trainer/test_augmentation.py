from collections.abc import Callable

import numpy as np
import pytest

from trainer.labelling.rules.evidence import EvidenceModel
from trainer.labelling.rules.lexicon import lexical_words, severity
from trainer.learning.encoding import WindowSet
from trainer.learning.synthetic_lines import SYSTEM, SyntheticLines, make_synthetic_lines
from trainer.learning.synthetic_windows import augment
from trainer.testing import TEXTS, corpus, history

Make = Callable[[int], tuple[SyntheticLines, WindowSet]]
SOURCE = {"s1": "connection refused by peer", "s2": "block stored on <ID>"}


@pytest.fixture
def made() -> Make:
    """Makes synthetic lines and windows of the small shop for a seed."""
    known = corpus(history()[0])
    evidence = EvidenceModel(known, {})

    def make(seed: int) -> tuple[SyntheticLines, WindowSet]:
        rng = np.random.default_rng(seed)
        lines = make_synthetic_lines(TEXTS, evidence.line_odds(), SOURCE, {"s1": 0.9, "s2": -0.5}, rng)
        return lines, augment(known, evidence, lines, 400, rng)

    return make


def test_synthetic_lines_read_as_harmless_or_alarming(made: Make) -> None:
    """Harmless lines carry no alarm, alarming ones do or are suspect in the system; source lines are among them."""
    lines, _ = made(0)
    assert all(severity(lines.texts[line]) <= 0.3 for line in lines.harmless)
    assert "block stored on <ID>" in {lines.texts[line] for line in lines.harmless}
    alarming = [lines.texts[line] for line in lines.alarming]
    assert "connection refused by peer" in alarming
    assert sum(severity(text) >= 0.6 for text in alarming) >= 0.9 * len(alarming)


def test_synthetic_lines_hold_unknown_words(made: Make) -> None:
    """Both kinds do: a model that saw no unknown word in training would not be indifferent to the first one."""
    lines, _ = made(0)
    known = {word for text in (*TEXTS.values(), *SOURCE.values()) for word in lexical_words(text)}
    for kind in (lines.harmless, lines.alarming):
        fresh = [set(lexical_words(lines.texts[line])) - known for line in kind]
        assert sum(1 for words in fresh if words) >= 0.5 * len(kind)
        assert len(set().union(*fresh)) > 200


def test_words_of_suspect_lines_are_not_taught_to_be_harmless(made: Make) -> None:
    """A word that only a rare alarming line of the target holds is in no harmless line."""
    lines, _ = made(0)
    assert not any("carrier refused" in lines.texts[line] for line in lines.harmless)
    assert not any(
        "refused" in lines.texts[line].split() for line in lines.harmless if severity(lines.texts[line]) > 0.1
    )


def test_synthetic_windows_are_of_both_classes_and_alarms_are_anomalous(made: Make) -> None:
    """Each window has a clear label, and one with an alarming line is anomalous."""
    lines, windows = made(0)
    assert 0.2 < windows.labels.mean() < 0.9
    assert len(windows) > 200
    alarming = {f"{SYSTEM}/{line}" for line in lines.alarming}
    for window, label in zip(windows.windows, windows.labels, strict=True):
        if alarming & {event for event, _ in window}:
            assert label == 1.0
        assert all(run >= 1 for _, run in window)


def test_a_seed_makes_the_same_windows(made: Make) -> None:
    """Equal seeds give equal windows; another seed gives others."""
    assert made(3)[1].windows == made(3)[1].windows
    assert made(3)[1].windows != made(4)[1].windows
