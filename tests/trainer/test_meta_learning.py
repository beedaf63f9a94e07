import copy
from collections.abc import Iterable
from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from detector.model.network import SmallModel
from detector.model.runs import Runs
from detector.model.shape import NetworkShape
from trainer.learning.encoding import EventTable, WindowSet, make_embedder, namespaced, source_windows
from trainer.learning.meta_learning import MetaLearner, MetaSettings, Task, meta_learn
from trainer.testing import TEXTS, corpus, history

Setting = tuple[MetaLearner, Task, EventTable, WindowSet, tuple[Runs, ...]]


@pytest.fixture
def setting() -> Setting:
    """A learner with one task, its events, source windows and target windows."""
    windows, kinds = history(count=120)
    source = corpus(windows, "old", labels=[bool(kind) for kind in kinds])
    target = corpus(history(1, count=120)[0], "new", texts={key: f"new {text}" for key, text in TEXTS.items()})
    embedder = make_embedder((source, target))
    events = EventTable(embedder)
    events.add("old", source.texts)
    events.add("new", target.texts)
    torch.manual_seed(0)
    model = SmallModel(NetworkShape(event_dim=embedder.dim, hidden=12)).double().eval()
    learner = MetaLearner(model, events.tensor(), MetaSettings(steps=5, batch=8), seed=0)
    of_source = source_windows(source)
    of_target = tuple(namespaced("new", signature.runs) for signature in target.signatures)
    batch = events.batch([*of_source.windows[:8], *of_target[:8]])
    task = Task(batch, torch.tensor(of_source.labels[:8], dtype=torch.float32))
    return learner, task, events, of_source, of_target


def _weights(modules: Iterable[Tensor]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in modules]


def test_extractor_gradient_is_that_of_the_stated_objective(setting: Setting) -> None:
    """It equals gamma times the class gradient minus beta times the domain gradient, taken apart from each other."""
    learner, task, *_ = setting
    parameters = learner.extractor_parameters
    values = list(parameters.values())
    source, target = learner.features(task)
    class_part = torch.autograd.grad(learner.class_loss(source, task.labels), values, retain_graph=True)
    domain_part = torch.autograd.grad(learner.domain_loss(source, target), values)
    source, target = learner.features(task)
    whole = learner.extractor_gradient(source, target, task.labels, parameters, 0.7)
    for got, of_class, of_domain in zip(whole, class_part, domain_part, strict=True):
        assert torch.allclose(got, of_class - 0.7 * of_domain, atol=1e-6)


def test_heads_and_extractor_leave_each_other_alone(setting: Setting) -> None:
    """The heads' step changes no extractor weight; the gradient of the extractor leaves none on the heads."""
    learner, task, *_ = setting
    extractor = list(learner.extractor_parameters.values())
    heads = [*learner.head_parameters, *learner.domain_parameters]
    source, target = learner.features(task)
    before = _weights(extractor)
    learner.update_heads(source, target, task.labels)
    assert all(torch.equal(old, new) for old, new in zip(before, extractor, strict=True))
    before = _weights(heads)
    learner.extractor_gradient(source, target, task.labels, learner.extractor_parameters, 1.0)
    assert all(torch.equal(old, new) for old, new in zip(before, heads, strict=True))
    assert all(parameter.grad is None for parameter in [*heads, *extractor])


def test_domain_head_descends_while_the_extractor_rests(setting: Setting) -> None:
    """With fixed features the domain loss falls: the sign of its update is that of a minimizer."""
    learner, task, *_ = setting
    source, target = learner.features(task)
    first = learner.update_heads(source, target, task.labels)[1]
    for _ in range(100):
        last = learner.update_heads(source, target, task.labels)[1]
    assert last < 0.5 * first


def test_extractor_step_against_a_fixed_domain_head_raises_its_loss(setting: Setting) -> None:
    """Without the class part, a step along the negative gradient makes the domains harder to tell apart."""
    learner, task, *_ = setting
    learner.settings = MetaSettings(gamma=0.0)
    source, target = learner.features(task)
    before = float(learner.domain_loss(source, target).detach())
    assert before < 1.5 * log(2.0)
    gradient = learner.extractor_gradient(source, target, task.labels, learner.extractor_parameters, 1.0)
    moved = {
        name: value - 1e-3 * change
        for (name, value), change in zip(learner.extractor_parameters.items(), gradient, strict=True)
    }
    assert float(learner.domain_loss(*learner.features(task, moved)).detach()) > before


def test_a_run_learns_the_source_and_repeats_itself(setting: Setting) -> None:
    """The same seed gives the same weights, and the class loss ends below chance."""
    learner, _, events, source, target = setting
    learner.settings = MetaSettings(steps=60, batch=16)
    twin = MetaLearner(copy.deepcopy(learner.model), learner.table, learner.settings, seed=0)
    report = meta_learn(learner, events, source, target, seed=3)
    meta_learn(twin, events, source, target, seed=3)
    assert report.class_loss < log(2.0)
    for one, other in zip(learner.model.parameters(), twin.model.parameters(), strict=True):
        assert np.array_equal(one.detach().numpy(), other.detach().numpy())
