"""The losses of one tiny training, so that no change of the learning goes unnoticed.

Where a change is meant to alter them, `python -m tests.trainer.test_pinned_losses` prints the new numbers.
"""

import sys

import numpy as np
import pytest

from detector.model.shape import NetworkShape
from trainer.labellers import Mixture
from trainer.learning.encoding import make_embedder
from trainer.learning.meta_learning import MetaSettings
from trainer.learning.training import Learner
from trainer.testing import TEXTS, corpus, history

EXPECTED = {
    "meta-learning, classes": 0.702829,
    "meta-learning, domains": 0.683427,
    "first fine-tuning": 0.664270,
    "second fine-tuning": 0.579788,
    "mean logit": -1.202923,
}


def losses() -> dict[str, float]:
    """Losses and the mean logit of a training with ten steps of meta-learning and two fine-tunings."""
    windows, kinds = history(0, 200)
    source = corpus(windows, "old-shop", labels=[bool(kind) for kind in kinds])
    target = corpus(history(1, 200)[0], texts={event: text.replace("order", "basket") for event, text in TEXTS.items()})
    embedder = make_embedder((source, target))
    shape = NetworkShape(event_dim=embedder.dim, hidden=8, attention="unbounded")
    learner = Learner(source, target, embedder, shape, seed=7)
    meta = learner.meta_learn(np.arange(len(target.signatures)), MetaSettings(steps=10))
    labels = np.array([float("gone" in signature.counts()) for signature in target.signatures])
    weights = np.sqrt([float(signature.windows) for signature in target.signatures])
    first = learner.fine_tune(labels, weights, 10, Mixture())
    second = learner.fine_tune(labels, weights, 30, Mixture())
    return {
        "meta-learning, classes": meta.class_loss,
        "meta-learning, domains": meta.domain_loss,
        "first fine-tuning": first,
        "second fine-tuning": second,
        "mean logit": float(learner.logits().mean()),
    }


def test_the_losses_of_a_tiny_training_are_the_known_ones() -> None:
    """Data, draws, losses, gradients and steps are what they were, but for the rounding of another processor."""
    assert losses() == pytest.approx(EXPECTED, rel=1e-3)


if __name__ == "__main__":
    for name, value in losses().items():
        sys.stdout.write(f'    "{name}": {value:.6f},\n')
