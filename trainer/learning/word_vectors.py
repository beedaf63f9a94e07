"""Pre-trained word vectors, reduced to the words of the corpora, which the artifact then holds."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from detector.model.embedding import WordVectors
from detector.parsing.tokens import words
from trainer.errors import SourceError

_NPZ = ".npz"


def load_word_vectors(path: Path, texts: Iterable[str]) -> WordVectors:
    """Vectors of the words in `texts`.

    Args:
        path: GloVe's or word2vec's text format (as `glove.6B.300d.txt`), or an `.npz` with `words` and `vectors`.
        texts: templates of all corpora.

    Raises:
        SourceError: the file cannot be read, or holds none of the words.
    """
    wanted = sorted({word for text in texts for word in words(text)})
    try:
        found = _from_npz(path, wanted) if path.suffix == _NPZ else _from_text(path, wanted)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise SourceError(
            f"word_vectors must be GloVe text or .npz with words and vectors, got {path}: {error}"
        ) from error
    if not found:
        raise SourceError(f"word_vectors must hold words of the logs, got none of {len(wanted)} in {path}")
    vocabulary = sorted(found)
    return WordVectors(vocabulary, np.stack([found[word] for word in vocabulary]).astype(np.float32))


def _from_npz(path: Path, wanted: list[str]) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        known = {str(word): row for row, word in enumerate(archive["words"])}
        vectors = archive["vectors"]
        return {word: vectors[known[word]] for word in wanted if word in known}


def _from_text(path: Path, wanted: list[str]) -> dict[str, np.ndarray]:
    from gensim.models import KeyedVectors

    with path.open(encoding="utf-8", errors="replace") as file:
        header = len(file.readline().split()) == 2  # noqa: PLR2004 - word2vec's first line: words, width
    vectors = KeyedVectors.load_word2vec_format(str(path), binary=False, no_header=not header)
    return {word: np.asarray(vectors[word]) for word in wanted if word in vectors.key_to_index}
