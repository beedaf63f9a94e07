"""Errors of the trainer.

TrainerError
├── SourceError         a source or target cannot be read, or holds nothing to learn from
└── LabellerError       a labeller is set up wrongly or cannot be reached at all
"""


class TrainerError(Exception):
    """Training cannot go on; the message says what to do."""


class SourceError(TrainerError):
    """A source or target cannot be read, or holds nothing to learn from."""


class LabellerError(TrainerError):
    """A labeller is set up wrongly or cannot be reached at all."""
