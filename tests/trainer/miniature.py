"""The small system of `trainer.testing`, under the name that older tests import."""

from trainer.testing import KINDS, TEXTS, corpus, course, history, runs_of, spoilt

__all__ = ["KINDS", "TEXTS", "corpus", "course", "history", "runs_of", "spoilt"]
