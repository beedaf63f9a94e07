"""Event vectors."""

from math import log

import numpy as np
import pytest

from detector.model.embedding import Embedder, WordVectors, idf_of

TEXTS = ["connection to <IP> lost", "connection to <IP> opened", "disk <NUM> failed"]


@pytest.fixture
def embedder() -> Embedder:
    """An embedder of three templates, without word vectors."""
    return Embedder(*idf_of(TEXTS))


def test_idf_counts_distinct_templates_that_hold_a_word() -> None:
    """A word's weight follows from the number of distinct templates with it, a word of none weighs most."""
    weights, unseen = idf_of([*TEXTS, TEXTS[0], "lost lost lost"])

    assert weights["lost"] == pytest.approx(log(5 / 3) + 1)
    assert weights["disk"] == pytest.approx(log(5 / 2) + 1)
    assert "never" not in weights
    assert unseen == pytest.approx(log(5) + 1)


def test_vectors_are_unit_float32_and_like_texts_are_near(embedder: Embedder) -> None:
    """Vectors have length 1, and texts that share words are nearer than texts that share none."""
    lost, opened, disk = embedder.embed_all(TEXTS)

    assert lost.dtype == np.float32
    assert lost.shape == (embedder.dim,) == (256,)
    assert np.linalg.norm(lost) == pytest.approx(1, abs=1e-6)
    assert lost @ opened > 0.5 > lost @ disk + 0.2


def test_forms_of_a_word_are_similar_but_not_equal(embedder: Embedder) -> None:
    """`started` and `restarted` share n-grams and are still two words."""
    started, restarted, stopped = embedder.embed_all(["started", "restarted", "stopped"])

    assert 0.2 < started @ restarted < 0.9
    assert started @ restarted > started @ stopped


def test_text_without_words_is_the_zero_vector(embedder: Embedder) -> None:
    """A template of wildcards alone has no direction, and no NaN either."""
    assert not embedder.embed("<*> ... <*>").any()
    assert embedder.embed_all([]).shape == (0, 256)


def test_vectors_do_not_change_between_machines_or_releases(embedder: Embedder) -> None:
    """The hashed part is pinned: a model trained yesterday elsewhere means the same vectors here."""
    vector = embedder.embed("disk <NUM> failed")

    assert np.packbits(vector > 0).tobytes().hex() == "7e8bf27feae3b527b95df97985441acc113e5e400109cf6c968c13be2a2c78d0"
    assert vector[:4].tolist() == pytest.approx([-0.0242723, 0.0517213, 0.0096711, 0.0331604], abs=1e-6)


def test_order_and_repetition_of_idf_entries_do_not_matter(embedder: Embedder) -> None:
    """The vector is a function of the text and the weights, not of the order in which words were met."""
    shuffled = Embedder(dict(reversed(list(embedder.idf.items()))), embedder.unseen_idf)

    assert np.array_equal(shuffled.embed(TEXTS[0]), embedder.embed(TEXTS[0]))
    assert np.array_equal(embedder.embed("lost connection <IP> to"), embedder.embed(TEXTS[0]))


def test_word_vectors_stand_beside_the_hashed_ones() -> None:
    """With word vectors the embedding is wider, names its provider, and brings together words that share no letters."""
    idf = idf_of(["disk broke", "disk failed"])
    rows = np.array([[1, 0], [0.9, 0.1], [0, 1]], dtype=np.float32)
    both = Embedder(*idf, WordVectors(["broke", "failed", "disk"], rows))
    plain = Embedder(*idf)

    assert (both.dim, both.provider) == (258, "glove+hashed-lexical")
    assert plain.provider == "hashed-lexical"
    assert both.embed("broke") @ both.embed("failed") > plain.embed("broke") @ plain.embed("failed") + 0.3
    assert np.linalg.norm(both.embed("unknownword")) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("vocabulary", [["a"], ["a", "a"], ["a", "b", "c"]])
def test_word_vectors_must_fit_their_words(vocabulary: list[str]) -> None:
    """Each word has one row; anything else is refused."""
    with pytest.raises(ValueError, match="one vector for each"):
        WordVectors(vocabulary, np.zeros((2, 4), dtype=np.float32))


def test_a_word_of_a_megabyte_is_embedded_by_its_start(embedder: Embedder) -> None:
    """Hostile words cost no more than long ones, and two that share a start have different vectors."""
    long, longer = embedder.embed("x" * 1_000_000), embedder.embed("x" * 1_000_001)

    assert np.isfinite(long).all()
    assert 0 < long @ longer < 0.999
