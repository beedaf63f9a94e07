"""Corpora as tensors: one table of event vectors for all systems, and windows as row numbers of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detector.model.embedding import Embedder, WordVectors, idf_of
from detector.model.network import SmallModel, collate
from detector.model.runs import Runs
from trainer.data.signatures import Corpus

Batch = tuple[Tensor, Tensor, Tensor]
"""Rows [B, T] of the event table, run lengths [B, T], numbers of runs [B]."""


def make_embedder(corpora: Iterable[Corpus], word_vectors: WordVectors | None = None) -> Embedder:
    """An embedder whose word weights count over all corpora together (docs/method.md#event-vectors)."""
    return Embedder(*idf_of(text for corpus in corpora for text in corpus.texts.values()), word_vectors)


def namespaced(system: str, runs: Runs) -> Runs:
    """The window with the system in every event id: equal ids of two systems are different events."""
    return tuple((f"{system}/{event}", length) for event, length in runs)


class EventTable:
    """Vectors of the events of several systems and of synthetic lines, as doubles [events, D]."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.row_of: dict[str, int] = {}
        self._vectors: list[np.ndarray] = []

    def add(self, system: str, texts: Mapping[str, str]) -> None:
        """Add a row for every event of `system`, in sorted order."""
        for event in sorted(texts):
            key = f"{system}/{event}"
            if key not in self.row_of:
                self.row_of[key] = len(self._vectors)
                self._vectors.append(self.embedder.embed(texts[event]))

    def tensor(self) -> Tensor:
        """The whole table."""
        if not self._vectors:
            return torch.zeros(0, self.embedder.dim, dtype=torch.float64)
        return torch.from_numpy(np.stack(self._vectors).astype(np.float64))

    def batch(self, windows: Sequence[Runs]) -> Batch:
        """Windows with namespaced event ids as a batch."""
        return collate(windows, self.row_of)


@dataclass(frozen=True)
class WindowSet:
    """Labelled windows: namespaced, with labels [n] 0 to 1 and weights [n]."""

    windows: tuple[Runs, ...]
    labels: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, rows: np.ndarray) -> "WindowSet":
        """The chosen rows."""
        return WindowSet(tuple(self.windows[int(row)] for row in rows), self.labels[rows], self.weights[rows])


def source_windows(source: Corpus) -> WindowSet:
    """The distinct windows of a labelled source, with the share of anomalous ones as label and √count as weight."""
    kept = [signature for signature in source.signatures if signature.label is not None and signature.runs]
    return WindowSet(
        tuple(namespaced(source.system, signature.runs) for signature in kept),
        np.array([float(signature.label or 0.0) for signature in kept]),
        np.sqrt(np.array([signature.windows for signature in kept], np.float64)),
    )


@torch.inference_mode()
def logits(
    model: SmallModel, table: Tensor, events: EventTable, windows: Sequence[Runs], size: int = 512
) -> np.ndarray:
    """Logits [n] of namespaced windows; windows of similar length share a batch."""
    model.eval()
    result = np.zeros(len(windows))
    projected = model.extractor.project(table)
    order = sorted(range(len(windows)), key=lambda row: (len(windows[row]), row))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        rows, runs, lengths = events.batch([windows[row] for row in chosen])
        result[chosen] = model.classify(model.extractor.encode(projected[rows], runs, lengths)).double().numpy()
    return result
