"""Adversarial meta-learning of the extractor on source and target (paper section III-C, docs/method.md#meta-learning).

One step: the domain head and the anomaly head descend their own losses on detached features. The extractor takes one
inner gradient step on the support windows; its weights are then updated with the gradient at that point on the query
windows (first order). Each gradient is computed by `torch.autograd.grad` for named parameters only, so that no gradient
accumulates in the other parts.
"""

from dataclasses import dataclass
from math import log, tanh

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits

from detector.model.network import SmallModel
from detector.model.runs import Runs
from trainer.learning.encoding import Batch, EventTable, WindowSet

_CLAMP = 1.5 * log(2.0)
"""Domain loss above which the extractor has no further gain; an unbounded gain would diverge."""


@dataclass(frozen=True)
class MetaSettings:
    """Rates and sizes (docs/method.md#meta-learning).

    Attributes:
        batch: windows of each domain in support and in query; the paper's 256 would cost an hour on a laptop.
    """

    steps: int = 300
    batch: int = 16
    rate: float = 1e-3
    inner_rate: float = 1e-3
    beta: float = 1.0
    gamma: float = 1.0
    clip: float = 1.0


@dataclass(frozen=True)
class MetaReport:
    """Mean losses and accuracy of the domain head over the last fifty steps."""

    steps: int
    class_loss: float
    domain_loss: float
    domain_accuracy: float


class DomainHead(nn.Module):
    """Classifies features as source (0) or target (1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.LayerNorm(128), nn.Linear(128, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B]."""
        out: Tensor = self.layers(features)
        return out.squeeze(-1)


@dataclass(frozen=True)
class Task:
    """Source windows, then target windows, as one padded batch; labels [S] of the source windows."""

    batch: Batch
    labels: Tensor


class MetaLearner:
    """The extractor, both heads and their optimizers; trains `model` in place.

    Args:
        table: event vectors [events, D].
        seed: of the domain head's first weights.
    """

    def __init__(self, model: SmallModel, table: Tensor, settings: MetaSettings, seed: int) -> None:
        self.model = model
        self.table = table
        self.settings = settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.domain = DomainHead(model.extractor.width).to(table.dtype)
        self.extractor_parameters: dict[str, Tensor] = dict(model.extractor.named_parameters())
        self.head_parameters = list(model.head.parameters())
        self.domain_parameters = list(self.domain.parameters())
        rate = settings.rate
        self._extractor_optimizer = torch.optim.Adam(self.extractor_parameters.values(), lr=rate)
        self._head_optimizer = torch.optim.Adam(self.head_parameters, lr=rate)
        self._domain_optimizer = torch.optim.Adam(self.domain_parameters, lr=rate)

    def features(self, task: Task, parameters: dict[str, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Features [S, F] of source and [T, F] of target windows, with other extractor parameters where given."""
        rows, runs, lengths = task.batch
        chosen = self.extractor_parameters if parameters is None else parameters
        out: Tensor = functional_call(self.model.extractor, chosen, (self.table[rows], runs, lengths))
        return out[: len(task.labels)], out[len(task.labels) :]

    def domain_loss(self, source: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of the domain head, mean of both domains."""
        on_source, on_target = self.domain(source), self.domain(target)
        return 0.5 * (
            binary_cross_entropy_with_logits(on_source, torch.zeros_like(on_source))
            + binary_cross_entropy_with_logits(on_target, torch.ones_like(on_target))
        )

    def class_loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the anomaly head."""
        return binary_cross_entropy_with_logits(self.model.classify(features), labels)

    def extractor_gradient(
        self, source: Tensor, target: Tensor, labels: Tensor, parameters: dict[str, Tensor], beta: float
    ) -> list[Tensor]:
        """Gradient of gamma * L_c - beta * L_d by the parameters that made the features; heads are constants."""
        loss = self.settings.gamma * self.class_loss(source, labels)
        if beta > 0.0:
            loss = loss - beta * self.domain_loss(source, target).clamp(max=_CLAMP)
        return list(torch.autograd.grad(loss, list(parameters.values())))

    def update_heads(self, source: Tensor, target: Tensor, labels: Tensor) -> tuple[float, float, float]:
        """Both heads descend on detached features; returns class loss, domain loss, domain accuracy."""
        source, target = source.detach(), target.detach()
        domain_loss = self.domain_loss(source, target)
        _apply(self._domain_optimizer, self.domain_parameters, torch.autograd.grad(domain_loss, self.domain_parameters))
        class_loss = self.settings.gamma * self.class_loss(source, labels)
        _apply(self._head_optimizer, self.head_parameters, torch.autograd.grad(class_loss, self.head_parameters))
        with torch.no_grad():
            right = (self.domain(source) < 0).float().mean() + (self.domain(target) >= 0).float().mean()
        return float(class_loss.detach()), float(domain_loss.detach()), float(right) / 2

    def step(self, support: Task, query: Task, progress: float) -> tuple[float, float, float]:
        """Heads, then one inner step on `support`, then the outer step with the gradient on `query` (first order).

        The weight of the domain loss grows with `progress`, 0 to 1.
        """
        settings = self.settings
        beta = settings.beta * tanh(5.0 * progress)
        source, target = self.features(support)
        figures = self.update_heads(source, target, support.labels)
        inner = self.extractor_gradient(source, target, support.labels, self.extractor_parameters, beta)
        moved = {
            name: (parameter - settings.inner_rate * gradient).detach().requires_grad_()
            for (name, parameter), gradient in zip(self.extractor_parameters.items(), inner, strict=True)
        }
        outer = self.extractor_gradient(*self.features(query, moved), query.labels, moved, beta)
        _apply(self._extractor_optimizer, list(self.extractor_parameters.values()), outer, settings.clip)
        return figures


def meta_learn(
    learner: MetaLearner, events: EventTable, source: WindowSet, target: tuple[Runs, ...], seed: int
) -> MetaReport:
    """Run all steps; support and query are disjoint halves of each domain, source batches half anomalous.

    Windows of source and target are namespaced; `seed` is that of the order of batches.
    """
    settings = learner.settings
    rng = np.random.default_rng(seed)
    halves_source = _halves(len(source), rng)
    halves_target = _halves(len(target), rng)
    learner.model.eval()  # no dropout: both gradients must be of the same function
    figures: list[tuple[float, float, float]] = []
    for step in range(settings.steps):
        support, query = (
            _task(events, source, target, (of_source, of_target), settings, rng)
            for of_source, of_target in zip(halves_source, halves_target, strict=True)
        )
        figures.append(learner.step(support, query, step / settings.steps))
    last = np.array(figures[-50:]).mean(axis=0)
    return MetaReport(settings.steps, float(last[0]), float(last[1]), float(last[2]))


def _halves(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(count)
    middle = count // 2
    return (order[:middle], order[middle:]) if middle else (order, order)


def _task(
    events: EventTable,
    source: WindowSet,
    target: tuple[Runs, ...],
    halves: tuple[np.ndarray, np.ndarray],
    settings: MetaSettings,
    rng: np.random.Generator,
) -> Task:
    of_source, of_target = halves
    anomalous = of_source[source.labels[of_source] >= 0.5]  # noqa: PLR2004
    normal = of_source[source.labels[of_source] < 0.5]  # noqa: PLR2004
    pools = [pool for pool in (anomalous, normal) if len(pool)]
    chosen = np.concatenate([rng.choice(pool, settings.batch // len(pools)) for pool in pools])
    drawn = rng.choice(of_target, settings.batch)
    windows = [source.windows[int(row)] for row in chosen] + [target[int(row)] for row in drawn]
    return Task(events.batch(windows), torch.tensor(source.labels[chosen], dtype=torch.float64))


def _apply(
    optimizer: torch.optim.Optimizer,
    parameters: list[nn.Parameter] | list[Tensor],
    gradients: list[Tensor] | tuple[Tensor, ...],
    clip: float | None = None,
) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.detach()
    if clip is not None:
        nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None
