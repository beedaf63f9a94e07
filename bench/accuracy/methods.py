"""The table of methods: a new one is a function of a task and a row here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bench.accuracy.answers import alone
from bench.accuracy.baselines import label_free, supervised
from bench.accuracy.baselines.invariants import invariants
from bench.accuracy.task import Task, Verdicts
from bench.accuracy.training import Trained, score_with, source_model, train_model
from trainer.learning.meta_learning import MetaSettings


@dataclass(frozen=True)
class Method:
    """A method.

    Attributes:
        judge: scores the test part of a task.
        asks: whether it depends on the labeller.
        trains: whether it depends on the labelled source and the trainer's code.
        reads: whether it depends on the trainer's code alone.
        curve: whether it belongs to a budget curve alone.
    """

    judge: Callable[[Task], Verdicts]
    asks: bool = False
    trains: bool = False
    reads: bool = False
    curve: bool = False


def default(task: Task) -> Verdicts:
    """The shipped training."""
    return _judged(task, train_model(task))


def labeller(task: Task) -> Verdicts:
    """The labeller's own answer about each window of the test part."""
    known = task.answers
    answered = task.test[~np.isnan(known[task.test])]
    return Verdicts(alone(known[task.test]), answers=task.answers_about(answered))


def _random_order(task: Task) -> Verdicts:
    return _judged(task, train_model(task, lambda one: supervised.by_chance(one, supervised.limit_of(task))))


def _length_order(task: Task) -> Verdicts:
    return _judged(task, train_model(task, lambda one: supervised.by_length(one, supervised.limit_of(task))))


def _judged(task: Task, trained: Trained) -> Verdicts:
    facts = {
        "model_sha256": trained.report.sha256,
        "windows": trained.report.counts["windows"],
        "signatures": trained.report.counts["signatures"],
    }
    return replace(score_with(trained.model, task), answers=trained.answers, facts=facts)


def _source_only(beta: float, inner_rate: float, *, routed: bool = True) -> Callable[[Task], Verdicts]:
    return lambda task: source_model(task, beta, inner_rate, routed=routed)


METHODS: Mapping[str, Method] = {
    "default": Method(default, asks=True, trains=True),
    "labeller": Method(labeller, asks=True),
    "new-event": Method(label_free.new_event),
    "rare-event": Method(label_free.rare_event),
    "keyword": Method(label_free.keyword),
    "severity_list": Method(label_free.severity_list, reads=True),
    "always": Method(label_free.always),
    "pca": Method(label_free.pca),
    "isolation_forest": Method(label_free.isolation_forest),
    "bigram_surprise": Method(label_free.bigram_surprise),
    "invariants": Method(invariants),
    "dictionary": Method(supervised.dictionary, asks=True),
    "knn": Method(supervised.knn, asks=True),
    "logistic_regression": Method(supervised.logistic_regression, asks=True),
    "random_forest": Method(supervised.random_forest, asks=True),
    # Ablations: the same steps and batches, without the domain loss, then without the inner step, then as shipped.
    "source_only": Method(_source_only(0.0, 0.0), trains=True),
    "adversarial": Method(_source_only(1.0, 0.0), trains=True),
    "meta": Method(_source_only(MetaSettings.beta, MetaSettings.inner_rate), trains=True),
    # Label-free transfer as FreeLog has it: the shipped steps, but the source is aligned with all of the target.
    "freelog_like": Method(_source_only(MetaSettings.beta, MetaSettings.inner_rate, routed=False), trains=True),
    # The same training on answers that others choose, and the answers without a model.
    "random_order": Method(_random_order, asks=True, trains=True, curve=True),
    "length_order": Method(_length_order, asks=True, trains=True, curve=True),
    "llm_nearest_neighbor": Method(supervised.knn, asks=True, curve=True),
}
