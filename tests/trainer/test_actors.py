import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import ray

from tests.trainer.miniature import TEXTS, corpus, history
from trainer.labelling.base import Answer, Question, SystemCard
from trainer.learning.encoding import make_embedder
from trainer.learning.meta_learning import MetaSettings
from trainer.learning.training import Mixture
from trainer.workers.local import Assignment, LocalCrew
from trainer.workers.ray_actors import RayCrew

WINDOWS, KINDS = history(count=150)
SOURCE = corpus(WINDOWS, "old", labels=[bool(kind) for kind in KINDS])
TARGET = corpus(history(5, 150)[0])
CARD = SystemCard("shop", 150)
QUESTIONS = [Question(f"{n:016x}", 1, (((f"e{n}", 1),),), (1,), TEXTS) for n in range(120)]


class Mortal:
    """A labeller whose process dies once, at the fortieth question; a file remembers that it did."""

    name = "mortal"

    def __init__(self, path):
        self.path = path

    def __call__(self, _workers):
        return self

    def label(self, questions, _card):
        """Normal, all of them, if it lives."""
        if any(question.group == QUESTIONS[40].group for question in questions) and not self.path.exists():
            self.path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [
            Answer(question.group, "normal", 0.9, giver=self.name, prompt_hash=question.group) for question in questions
        ]


@pytest.fixture
def assignment(tmp_path):
    """A small job for a crew."""
    return Assignment(
        SOURCE, TARGET, make_embedder((SOURCE, TARGET)), 8, 0, Mortal(tmp_path / "died"), str(tmp_path / "k.db"), 2
    )


@pytest.fixture
def crew(assignment):
    """A Ray crew; whatever happens, Ray is down afterwards."""
    crew = RayCrew(assignment)
    try:
        yield crew
    finally:
        crew.close()
        assert not ray.is_initialized()


def _kill(actor):
    """Kill an actor's process, as the kernel does when memory runs out."""
    pid = ray.get(actor.__ray_call__.remote(lambda _self: os.getpid()))
    os.kill(pid, signal.SIGKILL)
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)


def test_actors_do_what_the_local_crew_does_and_outlive_their_deaths(crew, assignment):
    """Same routing, model and neighbours as in one process, although each kind of actor is killed on the way."""
    local = LocalCrew(replace(assignment, milvus=None))
    assert np.array_equal(crew.route()[1].scores, local.route()[1].scores)

    batches = list(crew.label(QUESTIONS, CARD))
    assert sorted(answer.group for batch in batches for answer in batch) == [question.group for question in QUESTIONS]

    general = np.arange(len(TARGET.signatures))
    settings = MetaSettings(steps=3, batch=4)
    labels = np.zeros(len(general))
    labels[:5] = 1.0
    for one in (crew, local):
        one.meta_learn(general, settings)
        one.fine_tune(labels, np.ones(len(labels)), 2, Mixture())
    _kill(crew._learner)
    for one in (crew, local):
        one.fine_tune(labels, np.ones(len(labels)), 2, Mixture())
    assert np.array_equal(crew.logits(), local.logits())

    runs = [signature.runs for signature in TARGET.signatures[:6]]
    names = [signature.id for signature in TARGET.signatures[:6]]
    for one in (crew, local):
        one.learn(names, runs)
    _kill(crew._similarity)
    found, expected = crew.neighbours(names, runs), local.neighbours(names, runs)
    assert [[match.group for match in one] for one in found] == [[match.group for match in one] for one in expected]
