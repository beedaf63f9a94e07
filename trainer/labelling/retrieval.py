"""Retrieval of signatures that have an answer, by similarity (the knowledge base of paper section III-D).

Milvus (Lite: a folder in the working directory, one process; or a server) holds the vectors. The label ledger holds the
answers, so the vectors can always be built again. Where Milvus does not work, an exact search in memory takes its
place, and the log says so. Either gives the same neighbors: both rank by the same rounded cosines, ties by group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from detector.model.embedding import Embedder
from detector.model.runs import Runs, counts_of
from trainer.data.signatures import Corpus

Float32 = npt.NDArray[np.float32]

_NEIGHBORS = 3
_COLLECTION = "signatures"
_BATCH = 512
_SPARE = 9  # its own group, and more: windows that differ only in order have the same vector
_DIGITS = 4
"""Cosines are rounded to so many digits: what is left of float32 and of other machines' arithmetic lies below."""


@dataclass(frozen=True)
class Match:
    """An answered group near a query."""

    group: str
    similarity: float


class Index(Protocol):
    """Stores and finds vectors."""

    name: str

    def upsert(self, groups: Sequence[str], vectors: Float32) -> None:
        """Store vectors [n, D] under their groups; a group that is present is replaced."""

    def search(self, vectors: Float32, count: int) -> list[list[Match]]:
        """The nearest `count` groups of each vector, nearest first."""

    def close(self) -> None:
        """Release files and connections."""


class RetrievalVectors:
    """r(x) = unit Σ over distinct events of idf(e) · (1 + ln count) · v(e): independent of the model."""

    def __init__(self, embedder: Embedder, corpus: Corpus) -> None:
        held, total = corpus.windows_of_events(), float(corpus.windows)
        self._vectors = {
            event: (np.log((1.0 + total) / (1.0 + held.get(event, 0))) + 1.0) * embedder.embed(text).astype(np.float64)
            for event, text in corpus.texts.items()
        }
        self.dim = embedder.dim

    def of(self, windows: Sequence[Runs]) -> Float32:
        """Unit vectors [n, D]."""
        result = np.zeros((len(windows), self.dim))
        for row, runs in enumerate(windows):
            for event, count in sorted(counts_of(runs).items()):
                result[row] += (1.0 + np.log(count)) * self._vectors[event]
        norms = np.linalg.norm(result, axis=1, keepdims=True)
        unit: Float32 = (result / np.maximum(norms, 1e-12)).astype(np.float32)
        return unit


class ExactIndex:
    """Exact search in memory."""

    name = "exact"

    def __init__(self) -> None:
        self._rows: dict[str, Float32] = {}

    def upsert(self, groups: Sequence[str], vectors: Float32) -> None:
        """See `Index.upsert`."""
        self._rows.update(zip(groups, vectors, strict=True))

    def search(self, vectors: Float32, count: int) -> list[list[Match]]:
        """Nearest first by rounded cosines; ties by group."""
        groups = sorted(self._rows)
        return self._ranked(vectors, groups, count) if groups else [[] for _ in vectors]

    def rank(self, vector: Float32, matches: Sequence[Match], count: int) -> list[Match]:
        """The nearest `count` of groups that another index has found for a vector, as `search` ranks them."""
        groups = sorted(match.group for match in matches)
        return self._ranked(vector[np.newaxis], groups, count)[0] if groups else []

    def __len__(self) -> int:
        return len(self._rows)

    def _ranked(self, vectors: Float32, groups: Sequence[str], count: int) -> list[list[Match]]:
        table = np.stack([self._rows[group] for group in groups]).T.astype(np.float64)
        found = []
        for start in range(0, len(vectors), _BATCH):
            for cosines in np.round(vectors[start : start + _BATCH].astype(np.float64) @ table, _DIGITS):
                least = np.partition(cosines, -count)[-count] if len(cosines) > count else -np.inf
                near = np.flatnonzero(cosines >= least)
                best = near[np.argsort(-cosines[near], kind="stable")][:count]
                found.append([Match(groups[int(i)], float(cosines[i])) for i in best])
        return found

    def close(self) -> None:
        """Nothing to release."""


class MilvusIndex:
    """A Milvus collection; `uri` is a path for Milvus Lite, whose folder must exist, or a server's address.

    An existing collection is dropped: the ledger is the record.
    """

    name = "milvus"

    def __init__(self, uri: str, dim: int) -> None:
        from pymilvus import DataType, MilvusClient

        self._client: Any = MilvusClient(uri=uri)
        if self._client.has_collection(_COLLECTION):
            self._client.drop_collection(_COLLECTION)
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("group", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        indexes = self._client.prepare_index_params()
        indexes.add_index(field_name="vector", index_type="FLAT", metric_type="COSINE")
        self._client.create_collection(_COLLECTION, schema=schema, index_params=indexes)

    def upsert(self, groups: Sequence[str], vectors: Float32) -> None:
        """Store vectors under their groups; flushed, since an unflushed search is ten times slower."""
        rows = [{"group": group, "vector": vector.tolist()} for group, vector in zip(groups, vectors, strict=True)]
        for start in range(0, len(rows), _BATCH):
            self._client.upsert(_COLLECTION, rows[start : start + _BATCH])
        self._client.flush(_COLLECTION)

    def search(self, vectors: Float32, count: int) -> list[list[Match]]:
        """Nearest first."""
        found: list[list[Match]] = []
        for start in range(0, len(vectors), _BATCH):
            chunk = [vector.tolist() for vector in vectors[start : start + _BATCH]]
            hits = self._client.search(_COLLECTION, data=chunk, limit=count)
            found += [[Match(str(hit["group"]), float(hit["distance"])) for hit in one] for one in hits]
        return found

    def close(self) -> None:
        """Close the client; Milvus Lite releases its folder."""
        self._client.close()


class FindsNeighbors(Protocol):
    """Answered groups, found by similarity."""

    def add(self, groups: Sequence[str], windows: Sequence[Runs]) -> None:
        """Add answered groups, each with its representative window."""

    def neighbors(self, groups: Sequence[str], windows: Sequence[Runs]) -> list[list[Match]]:
        """The nearest answered groups of each window, nearest first, never its own group."""


class Retrieval:
    """Answered groups, found by similarity; falls back from Milvus to exact search, with a warning.

    `uri` is that of `MilvusIndex`; None for exact search.
    """

    def __init__(self, vectors: RetrievalVectors, uri: str | None) -> None:
        self._vectors = vectors
        self._exact = ExactIndex()
        self.index: Index = self._exact
        if uri is None:
            return
        try:
            if "://" not in uri:
                Path(uri).parent.mkdir(parents=True, exist_ok=True)
            self.index = MilvusIndex(uri, vectors.dim)
        except Exception as error:  # noqa: BLE001 - training goes on without Milvus, whatever the reason
            self._degrade(error)

    def add(self, groups: Sequence[str], windows: Sequence[Runs]) -> None:
        """Add answered groups, each with its representative window."""
        if not groups:
            return
        vectors = self._vectors.of(windows)
        self._exact.upsert(groups, vectors)
        if self.index is not self._exact:
            try:
                self.index.upsert(groups, vectors)
            except Exception as error:  # noqa: BLE001
                self._degrade(error)

    def neighbors(self, groups: Sequence[str], windows: Sequence[Runs]) -> list[list[Match]]:
        """Nearest answered groups of each window, never its own group."""
        if not windows:
            return []
        vectors = self._vectors.of(windows)
        try:
            found = self._search(vectors, _NEIGHBORS + _SPARE)
        except Exception as error:  # noqa: BLE001
            self._degrade(error)
            found = self._search(vectors, _NEIGHBORS + _SPARE)
        return [
            [match for match in matches if match.group != group][:_NEIGHBORS]
            for group, matches in zip(groups, found, strict=True)
        ]

    def close(self) -> None:
        """Close the index."""
        try:
            self.index.close()
        except Exception as error:  # noqa: BLE001 - an error before the close must not be hidden
            structlog.get_logger(__name__).warning("retrieval.close_failed", error=str(error)[:200])

    def _search(self, vectors: Float32, count: int) -> list[list[Match]]:
        """The nearest groups of each vector, the same from either index; the first `_NEIGHBORS` + 1 are exact."""
        if self.index is self._exact:
            return self._exact.search(vectors, count)
        found = self.index.search(vectors, count)
        ranked = [self._exact.rank(vector, matches, count) for vector, matches in zip(vectors, found, strict=True)]
        open_rows = [row for row, matches in enumerate(ranked) if not self._is_sure(matches, count)]
        if open_rows:
            for row, matches in zip(open_rows, self._exact.search(vectors[open_rows], count), strict=True):
                ranked[row] = matches
        return ranked

    def _is_sure(self, matches: Sequence[Match], count: int) -> bool:
        """Whether no group outside the matches can be among the first: the last match is less near than those."""
        if len(matches) < count:
            return len(matches) == len(self._exact)
        return matches[_NEIGHBORS].similarity - matches[-1].similarity > 1.5 * 10.0**-_DIGITS

    def _degrade(self, error: Exception) -> None:
        self.index = self._exact
        reason = f"{type(error).__name__}: {error}"[:300]
        structlog.get_logger(__name__).warning("retrieval.degraded", reason=reason, now="exact search in this process")
