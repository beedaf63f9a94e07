"""Windows to probabilities, the same on every worker, in any batch, on CPU and GPU."""

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from detector.errors import DetectorError
from detector.model.count_path import EventCounts, joined
from detector.model.detection_model import DetectionModel
from detector.model.network import MAX_RUNS, collate
from detector.model.runs import Runs, merged

_NOVEL_EVENTS = 50_000


def resolve_device(device: str) -> str:
    """`auto` becomes `cuda` where there is a GPU and `cpu` elsewhere; anything else stays."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


class Scorer:
    """Scores windows with one model; one thread at a time.

    A window's score depends on the window and the model alone: events that the model lacks are resolved from their own
    text. Scores are remembered by content, since most windows repeat an earlier one.

    Args:
        model: the model.
        device: `cpu`, `cuda`, `cuda:1` or `auto`.
        batch_size: windows in one pass of the network.
        cache_size: scores that are remembered.
    """

    def __init__(
        self, model: DetectionModel, device: str = "cpu", batch_size: int = 256, cache_size: int = 100_000
    ) -> None:
        if batch_size < 1 or cache_size < 0:
            raise ValueError(f"batch_size must be ≥ 1 and cache_size ≥ 0, got {batch_size} and {cache_size}")
        self.model = model
        self.device = torch.device(resolve_device(device))
        self._batch_size = batch_size
        self._cache_size = cache_size
        self._scores: OrderedDict[bytes, float] = OrderedDict()
        self._novel: OrderedDict[str, str | Tensor] = OrderedDict()
        # Doubles on a GPU, whose default for a float32 GRU is 10-bit mantissas: scores would differ from the CPU's.
        self._dtype = torch.float64 if self.device.type == "cuda" else torch.float32
        # A copy, so that further training of `model.network` does not change what is served.
        self._network = copy.deepcopy(model.network).to(self.device, self._dtype).eval().requires_grad_(False)
        self._row_of = {info.id: row for row, info in enumerate(model.templates)}
        self._table = self._projected(model.embedder.embed_all([info.text for info in model.templates]))

    def score(
        self, windows: Sequence[Runs], texts: Mapping[str, str], *, remember: bool = True
    ) -> npt.NDArray[np.float64]:
        """Calibrated probability that each window is anomalous; 0.0 for a window without lines.

        Args:
            windows: run-length coded event ids.
            texts: template or masked line of every event id that the model does not have; more do no harm.
            remember: cache the scores.

        Raises:
            DetectorError: an event id is neither the model's nor in `texts`.
        """
        resolved = [self._resolved(window, texts) for window in windows]
        keys = [_key(window) for window in resolved]
        scores: dict[bytes, float] = {}
        missing: dict[bytes, Runs] = {}
        for key, window in zip(keys, resolved, strict=True):
            if not window:
                scores[key] = 0.0
            elif key in self._scores:
                self._scores.move_to_end(key)
                scores[key] = self._scores[key]
            else:
                missing[key] = window
        # Windows of similar length share a batch, which keeps padding small.
        order = sorted(missing, key=lambda key: len(missing[key]))
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            scores.update(zip(batch, self._forward([missing[key] for key in batch]), strict=True))
        if remember:
            self._scores.update((key, scores[key]) for key in missing)
        _shrink(self._scores, self._cache_size)
        _shrink(self._novel, _NOVEL_EVENTS)
        return np.array([scores[key] for key in keys], dtype=np.float64)

    def is_anomalous(self, score: float) -> bool:
        """Whether a score reaches the model's threshold."""
        return score >= self.model.threshold

    def resolve(self, event_id: str, texts: Mapping[str, str]) -> str:
        """The id of the model's template that stands for an event: its own, the one its text matches, or itself."""
        if event_id in self._row_of:
            return event_id
        known = self._novel_event(event_id, texts)
        return known if isinstance(known, str) else event_id

    def _resolved(self, window: Runs, texts: Mapping[str, str]) -> Runs:
        return merged([(self.resolve(event_id, texts), run) for event_id, run in window])[-MAX_RUNS:]

    def _novel_event(self, event_id: str, texts: Mapping[str, str]) -> str | Tensor:
        """Id of the matching template, or else the projected vector [H] of the event's own text."""
        known = self._novel.get(event_id)
        if known is None:
            if event_id not in texts:
                raise DetectorError(
                    f"texts must hold the text of every event that the model lacks, got none for {event_id!r}"
                )
            template = self.model.matcher.match(texts[event_id])
            if template is None:
                known = self._projected(self.model.embedder.embed_all([texts[event_id]]))[0]
            else:
                known = template.id
            self._novel[event_id] = known
        self._novel.move_to_end(event_id)
        return known

    @torch.inference_mode()
    def _projected(self, vectors: npt.NDArray[np.float32]) -> Tensor:
        projected: Tensor = self._network.extractor.project(torch.from_numpy(vectors).to(self.device, self._dtype))
        return projected

    @torch.inference_mode()
    def _forward(self, windows: Sequence[Runs]) -> list[float]:
        novel = sorted({event_id for window in windows for event_id, _ in window if event_id not in self._row_of})
        table, row_of = self._table, self._row_of
        if novel:
            table = torch.cat([table, torch.stack([self._vector(event_id) for event_id in novel])])
            row_of = row_of | {event_id: len(self._row_of) + row for row, event_id in enumerate(novel)}
        rows, runs, lengths = (tensor.to(self.device) for tensor in collate(windows, row_of))
        logits = self._network.classify(self._network.extractor.encode(table[rows], runs, lengths))
        found = logits.cpu().numpy().astype(np.float64)
        counts = self.model.count_path
        if counts is not None:
            found = joined(found, counts.logits(EventCounts.of(windows, self._row_of)))
        probabilities = self.model.calibration.probabilities(found)
        return [float(value) for value in probabilities]

    def _vector(self, event_id: str) -> Tensor:
        vector = self._novel[event_id]
        assert isinstance(vector, Tensor), "an event that matches a template was resolved to it"
        return vector


def _shrink(cache: OrderedDict[Any, Any], size: int) -> None:
    """Drop what is unused for longest."""
    while len(cache) > size:
        cache.popitem(last=False)


def _key(window: Runs) -> bytes:
    """Key of a window in the cache: 16 bytes, whatever its length."""
    return hashlib.blake2b(repr(window).encode(), digest_size=16).digest()
