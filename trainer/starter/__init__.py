"""The shipped starter source: generated, labelled logs of several kinds of systems, and the engine that makes them."""

from trainer.starter.source import starter_source

__all__ = ["starter_source"]
