from pathlib import Path

import numpy as np
import pytest

from trainer.errors import SourceError
from trainer.learning.word_vectors import load_word_vectors

TEXTS = ("block received", "connection refused")


@pytest.mark.parametrize("header", ["", "3 2\n"])
def test_only_words_of_the_logs_are_kept(tmp_path: Path, header: str) -> None:
    """GloVe's and word2vec's text forms give the rows of known words, in sorted order."""
    path = tmp_path / "vectors.txt"
    path.write_text(f"{header}refused 1.0 2.0\nzebra 5.0 5.0\nblock 3.0 4.0\n")
    vectors = load_word_vectors(path, TEXTS)
    assert vectors.vocabulary == ("block", "refused")
    assert vectors.rows.tolist() == [[3.0, 4.0], [1.0, 2.0]]


def test_archives_of_words_and_vectors_are_read(tmp_path: Path) -> None:
    """An .npz with words and vectors is read, too, and never unpickled."""
    path = tmp_path / "vectors.npz"
    np.savez(path, words=np.array(["block", "other"]), vectors=np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
    assert load_word_vectors(path, TEXTS).vocabulary == ("block",)
    np.savez(path, words=np.array(["block", None], dtype=object), vectors=np.zeros((2, 2), np.float32))
    with pytest.raises(SourceError):
        load_word_vectors(path, TEXTS)


@pytest.mark.parametrize("content", ["", "zebra 1.0 2.0\n", "block one two\n"])
def test_a_file_that_does_not_help_is_refused(tmp_path: Path, content: str) -> None:
    """No known word, no number: the message names the file."""
    path = tmp_path / "vectors.txt"
    path.write_text(content)
    with pytest.raises(SourceError, match=r"vectors\.txt"):
        load_word_vectors(path, TEXTS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that does not exist is a clear error."""
    with pytest.raises(SourceError, match="word_vectors must"):
        load_word_vectors(tmp_path / "none.txt", TEXTS)
