"""Event vectors: a template's words, weighted by TF-IDF, as hashed character n-grams, optionally beside GloVe.

The hashed part needs no file: every word and every character 3- to 5-gram has a fixed vector of 256 signs that follows
from its CRC-32 alone, so it is the same on every machine (docs/method.md#event-vectors).
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import log

import numpy as np
import numpy.typing as npt

from detector.parsing.tokens import words

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

LEXICAL_DIM = 256
_NGRAM_SIZES = (3, 4, 5)
_WORD_CHARACTERS = 64  # longer words are cut: one word of a megabyte must not cost a million n-grams
_WORD_CACHE = 65_536


def idf_of(texts: Iterable[str]) -> tuple[dict[str, float], float]:
    """Inverse document frequency of words, a document being one of the T distinct templates of source and target.

    ln((1 + T) / (1 + df)) + 1 for each of their words, and ln(1 + T) + 1, the weight of every other word.
    """
    documents = set(texts)
    frequency = Counter(word for text in documents for word in set(words(text)))
    total = len(documents)
    weights = {word: log((1 + total) / (1 + frequency[word])) + 1 for word in sorted(frequency)}
    return weights, log(1 + total) + 1


class WordVectors:
    """Rows of pre-trained word vectors, the few that a system's templates need.

    Args:
        vocabulary: distinct lower-case words; row i of `rows` belongs to word i.
        rows: float32 [words, dim].
    """

    def __init__(self, vocabulary: Sequence[str], rows: Float32) -> None:
        if rows.ndim != 2 or rows.shape[0] != len(vocabulary) or len(set(vocabulary)) != len(vocabulary):  # noqa: PLR2004 - a matrix
            raise ValueError(
                f"rows must be one vector for each of {len(vocabulary)} distinct words, got shape {rows.shape}"
            )
        self.vocabulary = tuple(vocabulary)
        self.rows = np.ascontiguousarray(rows, dtype=np.float32)
        self.dim = int(rows.shape[1])
        self._row_of = {word: row for row, word in enumerate(self.vocabulary)}

    def vector(self, word: str) -> Float32 | None:
        """The word's row, None when it has none."""
        row = self._row_of.get(word)
        return None if row is None else self.rows[row]


class Embedder:
    """Turns a template, or a masked line that matched none, into a unit vector.

    Args:
        idf: weight of each word of the training templates.
        unseen_idf: weight of all other words.
        word_vectors: pre-trained vectors concatenated with the hashed ones, with equal weight.
    """

    def __init__(self, idf: Mapping[str, float], unseen_idf: float, word_vectors: WordVectors | None = None) -> None:
        self.idf = dict(idf)
        self.unseen_idf = unseen_idf
        self.word_vectors = word_vectors
        self.dim = LEXICAL_DIM + (word_vectors.dim if word_vectors else 0)
        self.provider = "glove+hashed-lexical" if word_vectors else "hashed-lexical"

    def embed(self, text: str) -> Float32:
        """Float32 [dim] of length 1; all zeros when the text has no words."""
        counts = Counter(words(text))
        total = max(1, counts.total())
        lexical = np.zeros(LEXICAL_DIM)
        pretrained = np.zeros(self.dim - LEXICAL_DIM)
        for word in sorted(counts):  # a fixed order of addition, so that equal bags of words give equal bits
            weight = counts[word] / total * self.idf.get(word, self.unseen_idf)
            lexical += weight * _word_vector(word)
            row = self.word_vectors.vector(word) if self.word_vectors else None
            if row is not None:
                pretrained += weight * row
        return _unit(np.concatenate([_unit(lexical), _unit(pretrained)])).astype(np.float32)

    def embed_all(self, texts: Sequence[str]) -> Float32:
        """Float32 [len(texts), dim]."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.stack([self.embed(text) for text in texts])


@lru_cache(maxsize=_WORD_CACHE)
def _word_vector(word: str) -> Float64:
    """Unit vector of a word: half its n-grams, half the word itself, which separates `started` from `restarted`."""
    bounded = f"<{word[:_WORD_CHARACTERS]}>"
    grams = {bounded[at : at + size] for size in _NGRAM_SIZES for at in range(len(bounded) - size + 1)}
    signs = _signs([*sorted(grams), f"={word}"])
    vector = _unit(_unit(signs[:-1].sum(axis=0)) + _unit(signs[-1]))
    vector.setflags(write=False)
    return vector


def _signs(features: Sequence[str]) -> Float64:
    """[features, 256] of -1 and 1: the bits of four SplitMix64 outputs seeded with each feature's CRC-32."""
    seeds = np.array([zlib.crc32(feature.encode("utf-8", "surrogatepass")) for feature in features], dtype=np.uint64)
    steps = np.arange(1, LEXICAL_DIM // 64 + 1, dtype=np.uint64)
    # CRC-32 is linear; without mixing, features that differ in one letter would differ in few signs.
    state = (seeds[:, None] << np.uint64(32)) + steps[None, :] * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state = state ^ (state >> np.uint64(31))
    bits = np.unpackbits(state.astype("<u8").view(np.uint8), axis=1)
    return bits.astype(np.float64) * 2 - 1


def _unit(vector: Float64) -> Float64:
    norm = float(np.sqrt((vector * vector).sum()))
    return vector / norm if norm > 0 else vector
