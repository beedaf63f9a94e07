import numpy as np
import pytest

from tests.trainer.miniature import TEXTS, corpus, history
from trainer.labelling.rules.evidence import EvidenceModel
from trainer.labelling.rules.lexicon import lexical_words, severity
from trainer.learning.synthetic_lines import SYSTEM, make_up_lines
from trainer.learning.synthetic_windows import augment

SOURCE = {"s1": "connection refused by peer", "s2": "block stored on <ID>"}


@pytest.fixture
def made():
    """Made-up lines and windows of the small shop."""
    known = corpus(history()[0])
    windows = [signature.runs for signature in known.signatures]
    weights = [float(signature.windows) for signature in known.signatures]
    evidence = EvidenceModel(windows, weights, TEXTS)

    def make(seed):
        dice = np.random.default_rng(seed)
        lines = make_up_lines(TEXTS, evidence.line_odds(), SOURCE, {"s1": 0.9, "s2": -0.5}, dice)
        return lines, augment("shop", windows, weights, evidence, lines, 400, dice)

    return make


def test_made_up_lines_read_as_what_they_are_for(made):
    """Harmless lines carry no alarm, alarming ones do or are suspect in the system; source lines are among them."""
    lines, _ = made(0)
    assert all(severity(lines.texts[line]) <= 0.3 for line in lines.harmless)
    assert "block stored on <ID>" in {lines.texts[line] for line in lines.harmless}
    alarming = [lines.texts[line] for line in lines.alarming]
    assert "connection refused by peer" in alarming
    assert sum(severity(text) >= 0.6 for text in alarming) >= 0.9 * len(alarming)


def test_made_up_lines_hold_words_that_nobody_has_written(made):
    """Of both kinds: a model that met no unknown word in training is not indifferent to the first that it meets."""
    lines, _ = made(0)
    known = {word for text in (*TEXTS.values(), *SOURCE.values()) for word in lexical_words(text)}
    for kind in (lines.harmless, lines.alarming):
        fresh = [set(lexical_words(lines.texts[line])) - known for line in kind]
        assert sum(1 for words in fresh if words) >= 0.5 * len(kind)
        assert len(set().union(*fresh)) > 200


def test_words_of_suspect_lines_are_not_taught_to_be_harmless(made):
    """A word that only a rare alarming line of the target has stands in no harmless line."""
    lines, _ = made(0)
    assert not any("carrier refused" in lines.texts[line] for line in lines.harmless)
    assert not any(
        "refused" in lines.texts[line].split() for line in lines.harmless if severity(lines.texts[line]) > 0.1
    )


def test_made_up_windows_are_of_both_classes_and_alarms_are_anomalous(made):
    """Each window has one label beyond doubt, and one with an alarming line is anomalous."""
    lines, windows = made(0)
    assert 0.2 < windows.labels.mean() < 0.9
    assert len(windows) > 200
    alarming = {f"{SYSTEM}/{line}" for line in lines.alarming}
    for window, label in zip(windows.windows, windows.labels, strict=True):
        if alarming & {event for event, _ in window}:
            assert label == 1.0
        assert all(run >= 1 for _, run in window)


def test_the_same_dice_make_the_same_windows(made):
    """A seed decides everything; another seed makes others."""
    assert made(3)[1].windows == made(3)[1].windows
    assert made(3)[1].windows != made(4)[1].windows
