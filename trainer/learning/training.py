"""Training of the small model, from meta-learning to the last fine-tuning."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from detector.model.embedding import Embedder
from detector.model.network import SmallModel
from detector.model.runs import Runs
from detector.model.shape import NetworkShape
from trainer.data.signatures import Corpus
from trainer.labellers import Mixture
from trainer.labelling.rules.evidence import EvidenceModel
from trainer.labelling.source_prior import event_prior, source_prior
from trainer.learning.encoding import EventTable, WindowSet, logits, namespaced, source_windows
from trainer.learning.meta_learning import MetaLearner, MetaReport, MetaSettings, meta_learn
from trainer.learning.pace import Pace
from trainer.learning.synthetic_lines import SYSTEM, make_synthetic_lines
from trainer.learning.synthetic_windows import augment

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]
State = Mapping[str, Floats32]
"""Weights of a small model by name."""

_BATCH = 96
_RATE = 4e-3
_POSITIVE_SHARE = 0.4
_SYNTHETIC_WINDOWS = 6_000
_SMOOTHING = 0.02


class SmallModelLearner(Protocol):
    """The small model in training."""

    def logits(self, rows: Rows | None = None) -> Floats:
        """Uncalibrated logits of target signatures, all of them or those at `rows`."""

    def fine_tune(self, labels: Floats, weights: Floats, steps: int, mixture: Mixture) -> float:
        """Train on labels [n] with weights [n]; the last mean loss."""

    def state(self) -> State:
        """The weights."""

    def restore(self, state: State) -> None:
        """Return to earlier weights."""


class Learner:
    """Trains one small model for a target; `changed_by` names the methods after which its snapshot differs.

    Args:
        source: labelled corpus.
        target: unlabelled corpus; all methods address its signatures by index.
        shape: of the small model.
        seed: of initial weights, batches and synthetic windows.
    """

    changed_by = frozenset({"meta_learn", "fine_tune", "restore"})

    def __init__(self, source: Corpus, target: Corpus, embedder: Embedder, shape: NetworkShape, seed: int) -> None:
        torch.set_num_threads(1)
        self._seed = seed
        self._calls = 0
        self._source = source_windows(source)
        self._target = tuple(namespaced(target.system, signature.runs) for signature in target.signatures)
        prior = source_prior(embedder, source, target.texts)
        rng = np.random.default_rng([seed, 1])
        evidence = EvidenceModel(target, prior)
        lines = make_synthetic_lines(target.texts, evidence.line_odds(), source.texts, event_prior(source), rng)
        self.events = EventTable(embedder)
        for system, texts in ((source.system, source.texts), (target.system, target.texts), (SYSTEM, lines.texts)):
            self.events.add(system, texts)
        count = min(_SYNTHETIC_WINDOWS, max(2_000, 3 * len(self._target)))
        self._synthetic = augment(target, evidence, lines, count, rng)
        self.table = self.events.tensor()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # In doubles: of floats, the last digits depend on the processor, and training multiplies them to other
            # weights. In doubles the weights are the same once they are rounded to floats, at the same cost.
            self.model = SmallModel(shape).double()

    def meta_learn(self, general: npt.NDArray[np.intp], settings: MetaSettings) -> MetaReport:
        """SM(0): adversarial meta-learning on the source and the target's general signatures (indices)."""
        target = tuple(self._target[int(row)] for row in general if self._target[int(row)])
        if not target or not len(self._source):
            return MetaReport(0, 0.0, 0.0, 0.5)
        learner = MetaLearner(self.model, self.table, settings, self._seed)
        return meta_learn(learner, self.events, self._source, target, self._seed + 1)

    def logits(self, rows: Rows | None = None) -> Floats:
        """Uncalibrated logits of target signatures, all of them or those at `rows`."""
        chosen = self._target if rows is None else tuple(self._target[int(row)] for row in rows)
        return np.asarray(logits(self.model, self.table, self.events, chosen), np.float64)

    def fine_tune(self, labels: Floats, weights: Floats, steps: int, mixture: Mixture) -> float:
        """Train on batches of labelled, synthetic and source windows; the mean loss of the last 20 batches.

        At most `steps` batches: training ends when the loss does. `labels` are [n] 0 to 1; `weights` are [n], 0 for
        signatures without a label.
        """
        self._calls += 1
        rows = np.flatnonzero(weights > 0.0)
        labelled = WindowSet(tuple(self._target[int(row)] for row in rows), labels[rows], weights[rows])
        rng = np.random.default_rng([self._seed, 2, self._calls])
        pools = _pools(
            ((labelled, mixture.labelled), (self._synthetic, mixture.synthetic), (self._source, mixture.source))
        )
        if not pools:
            return 0.0
        optimizer = torch.optim.Adam(self.model.parameters(), lr=_RATE)
        pace = Pace(steps)
        losses: list[float] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed + self._calls)
            self.model.train()
            while (share := pace.next(losses)) is not None:
                optimizer.param_groups[0]["lr"] = _RATE * share
                windows, targets = _draw(pools, rng)
                losses.append(self._learn(windows, targets, optimizer))
        self.model.eval()
        return float(np.mean(losses[-20:])) if losses else 0.0

    def state(self) -> dict[str, Floats32]:
        """A copy of the model's weights."""
        return {name: tensor.detach().numpy().astype(np.float32) for name, tensor in self.model.state_dict().items()}

    def restore(self, state: Mapping[str, Floats32 | Floats]) -> None:
        """Return to weights of `state`."""
        self.model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})

    def snapshot(self) -> tuple[Mapping[str, Floats], int]:
        """Weights to the last digit and number of fine-tunings, for a learner that replaces this one."""
        return {name: tensor.detach().numpy().copy() for name, tensor in self.model.state_dict().items()}, self._calls

    def resume(self, snapshot: tuple[Mapping[str, Floats], int]) -> None:
        """Continue where the learner of a snapshot was."""
        state, self._calls = snapshot
        self.restore(state)

    def _learn(self, windows: list[Runs], targets: Floats, optimizer: torch.optim.Optimizer) -> float:
        rows, runs, lengths = self.events.batch(windows)
        projected = self.model.extractor.project(self.table)
        predicted = self.model.classify(self.model.extractor.encode(projected[rows], runs, lengths))
        smooth: Tensor = torch.tensor(targets * (1.0 - 2.0 * _SMOOTHING) + _SMOOTHING, dtype=projected.dtype)
        loss = binary_cross_entropy_with_logits(predicted, smooth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())


def _pools(parts: tuple[tuple[WindowSet, float], ...]) -> list[tuple[WindowSet, float]]:
    """Windows of one class each, and their share of a batch."""
    pools = []
    for part, share in parts:
        if share <= 0.0 or not len(part):
            continue
        positive = part.labels >= 0.5  # noqa: PLR2004
        for rows, of_class in (
            (np.flatnonzero(positive), _POSITIVE_SHARE),
            (np.flatnonzero(~positive), 1.0 - _POSITIVE_SHARE),
        ):
            if len(rows):
                pools.append((part.take(rows), share * of_class))
    return pools


def _draw(pools: list[tuple[WindowSet, float]], rng: np.random.Generator) -> tuple[list[Runs], Floats]:
    total = sum(share for _, share in pools)
    windows: list[Runs] = []
    targets: list[Floats] = []
    for pool, share in pools:
        chances = pool.weights / pool.weights.sum()
        rows = rng.choice(len(pool), size=max(1, round(_BATCH * share / total)), p=chances)
        windows += [pool.windows[int(row)] for row in rows]
        targets.append(pool.labels[rows])
    return windows, np.concatenate(targets)
