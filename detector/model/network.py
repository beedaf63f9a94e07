"""The small model: one bidirectional GRU over the runs of a window, with pooling for presence and counts.

A window is run-length coded: step t is an event and how often it occurred in a row. The GRU encodes the order of the
last runs, the maximum over events encodes presence, and soft counters encode amounts, both over the whole window. All
of them read one projection of the event vectors, which serving computes once per template, not once per line
(docs/method.md#the-small-model).
"""

from collections.abc import Mapping, Sequence
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from detector.model.shape import NetworkShape

MAX_RUNS = 512
"""Runs of a window that count, its last ones, in training and in serving."""
ORDER_RUNS = 64
"""Runs whose order the GRU reads, the last ones: in three real systems 93% to 100% of the distinct windows have no
more, and a step of the GRU costs more than everything else together."""


class Extractor(nn.Module):
    """Windows to features; a module of its own, so that meta-learning can call it with other parameters."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        hidden = shape.hidden
        self.attention = shape.attention
        self.project = nn.Linear(shape.event_dim, hidden)
        self.gru = nn.GRU(hidden + 1, hidden, batch_first=True, bidirectional=True)
        self.attend = nn.Linear(2 * hidden, 1)
        self.count = nn.Linear(hidden, hidden)
        self.width = 6 * hidden + 2

    def forward(self, vectors: Tensor, run_lengths: Tensor, lengths: Tensor) -> Tensor:
        """Features [B, F] of windows given as event vectors [B, T, D], run lengths [B, T] and numbers of runs [B]."""
        return self.encode(self.project(vectors), run_lengths, lengths)

    def encode(self, projected: Tensor, run_lengths: Tensor, lengths: Tensor) -> Tensor:
        """The same from vectors that went through `project`, [B, T, H]."""
        runs = run_lengths.to(projected.dtype)
        inside = _inside(projected.shape[1], lengths)
        counters = torch.relu(self.count(projected)) * (runs * inside).unsqueeze(-1)
        lines = (runs * inside).sum(dim=1, keepdim=True)
        parts = (
            *self._order(torch.cat([projected, torch.log1p(runs).unsqueeze(-1)], dim=-1), lengths),
            torch.tanh(projected).masked_fill(~inside.unsqueeze(-1), -torch.inf).amax(dim=1),
            torch.log1p(counters.sum(dim=1)),
            torch.log1p(lines) / 4,
            torch.log1p(lengths.to(projected.dtype)).unsqueeze(-1) / 4,
        )
        return torch.cat(parts, dim=1)

    def _order(self, steps: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Attention and maximum, both [B, 2 H], over the states of the GRU in the last runs of steps [B, T, H + 1]."""
        if steps.shape[1] > ORDER_RUNS:
            first = (lengths - ORDER_RUNS).clamp(min=0)
            places = first[:, None] + torch.arange(ORDER_RUNS, device=lengths.device)[None, :]
            steps = steps.gather(1, places.unsqueeze(-1).expand(-1, -1, steps.shape[-1]))
            lengths = lengths.clamp(max=ORDER_RUNS)
        # Packed, the backward direction starts at a window's own end, so its result does not depend on its batch.
        packed = pack_padded_sequence(steps, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=steps.shape[1])
        inside = _inside(steps.shape[1], lengths)
        scores = self.attend(states).squeeze(-1)
        scores = torch.tanh(scores) if self.attention == "bounded" else scores / sqrt(states.shape[-1])
        weights = torch.softmax(scores.masked_fill(~inside, -torch.inf), dim=1)
        attended = (weights.unsqueeze(-1) * states).sum(dim=1)
        return attended, states.masked_fill(~inside.unsqueeze(-1), -torch.inf).amax(dim=1)


def _inside(width: int, lengths: Tensor) -> Tensor:
    """[B, T] whether a place is inside its window, not padding."""
    return torch.arange(width, device=lengths.device)[None, :] < lengths[:, None]


class SmallModel(nn.Module):
    """The network that serves.

    Args:
        shape: size and kind.
        dropout: share of features that training switches off; serving uses all.
    """

    def __init__(self, shape: NetworkShape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.extractor = Extractor(shape)
        self.head = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(self.extractor.width, shape.hidden), nn.ReLU(), nn.Linear(shape.hidden, 1)
        )

    def features(self, vectors: Tensor, run_lengths: Tensor, lengths: Tensor) -> Tensor:
        """Features [B, F] of windows: event vectors [B, T, D], run lengths [B, T], numbers of runs [B], each ≥ 1."""
        features: Tensor = self.extractor(vectors, run_lengths, lengths)
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Logits [B] of features [B, F]; above 0 is anomalous before calibration."""
        logits: Tensor = self.head(features)
        return logits.squeeze(-1)

    def forward(self, vectors: Tensor, run_lengths: Tensor, lengths: Tensor) -> Tensor:
        """Logits [B] of windows, as in `features`."""
        return self.classify(self.features(vectors, run_lengths, lengths))


def collate(windows: Sequence[Sequence[tuple[str, int]]], row_of: Mapping[str, int]) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of windows as padded tensors; trainer and scorer both build theirs here.

    Args:
        windows: run-length coded event ids, none empty; the last `MAX_RUNS` runs count.
        row_of: row of each event id in the table of event vectors.

    Returns:
        Rows [B, T] to gather vectors with (`table[rows]`), run lengths [B, T], numbers of runs [B]; int64, padding 0.

    Raises:
        ValueError: there is no window, or an empty one.
        KeyError: an event has no row.
    """
    kept = [window[-MAX_RUNS:] for window in windows]
    if not kept or not all(kept):
        raise ValueError("windows must be at least one, each with at least one run, got none or an empty one")
    width = max(map(len, kept))
    rows = [[row_of[event] for event, _ in window] + [0] * (width - len(window)) for window in kept]
    runs = [[run for _, run in window] + [0] * (width - len(window)) for window in kept]
    return torch.tensor(rows), torch.tensor(runs), torch.tensor([len(window) for window in kept])
