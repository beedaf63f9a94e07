from collections import Counter

import pytest

from bench.demo_offline import corpora
from fusionlog.demo import generator
from trainer.data.signatures import Corpus

Made = tuple[Corpus, Corpus, dict[str, str]]


@pytest.fixture(scope="module")
def made() -> Made:
    """Corpora and truth of seed 1."""
    return corpora(1)


def test_only_the_source_has_labels(made: Made) -> None:
    """Target signatures carry no label; each source signature has one."""
    source, target, _ = made
    assert all(signature.label is None for signature in target.signatures)
    assert {signature.label for signature in source.signatures} >= {0.0, 1.0}


def test_each_session_is_one_window_with_a_truth(made: Made) -> None:
    """Window counts are those of the sessions, and every example window has its truth beside the corpus."""
    source, target, truth = made
    assert (source.windows, target.windows) == (generator.SOURCE_SESSIONS, generator.HISTORY_SESSIONS)
    ids = {window for signature in target.signatures for window in signature.example_window_ids}
    assert ids <= set(truth)
    assert 0.04 < sum(map(bool, truth.values())) / len(truth) < 0.08
    assert min(Counter(truth.values()).values()) >= 12
