import numpy as np
import torch

from detector.model.network import SmallModel
from detector.model.shape import NetworkShape
from trainer.learning.encoding import EventTable, logits, make_embedder, namespaced, source_windows
from trainer.testing import corpus


def test_equal_ids_of_two_systems_are_different_rows() -> None:
    """Event 7 of one system is not event 7 of another."""
    one = corpus([["7"]], "hdfs", {"7": "block received"})
    other = corpus([["7"]], "bgl", {"7": "parity error corrected"})
    events = EventTable(make_embedder((one, other)))
    events.add("hdfs", one.texts)
    events.add("bgl", other.texts)
    rows, _, _ = events.batch([namespaced("hdfs", (("7", 1),)), namespaced("bgl", (("7", 1),))])
    table = events.tensor()
    assert rows[0, 0] != rows[1, 0]
    assert not torch.allclose(table[rows[0, 0]], table[rows[1, 0]])


def test_word_weights_count_over_all_corpora() -> None:
    """A word in templates of both systems weighs less than one in a single template."""
    one = corpus([["a"]], "one", {"a": "common rare"})
    other = corpus([["b"]], "two", {"b": "common other"})
    embedder = make_embedder((one, other))
    assert embedder.idf["common"] < embedder.idf["rare"]


def test_a_window_scores_the_same_alone_and_in_company() -> None:
    """Batches, their size and their order do not change a logit."""
    known = corpus([["a"], ["a", "b"] * 9, ["b", "a", "a"], ["b"] * 40], "one", {"a": "go", "b": "stop"})
    events = EventTable(make_embedder((known,)))
    events.add("one", known.texts)
    windows = [namespaced("one", signature.runs) for signature in known.signatures]
    model = SmallModel(NetworkShape(event_dim=events.embedder.dim, hidden=8)).double()
    alone = [float(logits(model, events.tensor(), events, [window])[0]) for window in windows]
    assert np.allclose(logits(model, events.tensor(), events, windows, size=3), alone, atol=1e-5)


def test_source_labels_are_shares_weighted_by_the_root_of_their_number() -> None:
    """A distinct window that is anomalous half the time has label 0.5, and counts by the root of its windows."""
    found = source_windows(corpus([["a"]] * 4 + [["b"]], "old", {"a": "x", "b": "y"}, [True, False, True, False, True]))
    assert found.labels.tolist() == [0.5, 1.0]
    assert found.weights.tolist() == [2.0, 1.0]
