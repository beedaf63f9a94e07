"""Errors of the trainer.

TrainerError
├── SourceError         a source or target cannot be read, or does not hold enough to learn from
├── LabellerError       a labeller is set up wrongly or cannot be reached at all
└── WorkersError        Ray cannot be used
"""


class TrainerError(Exception):
    """Training cannot go on; the message says what to do."""


class SourceError(TrainerError):
    """A source or target cannot be read, or does not hold enough to learn from."""


class LabellerError(TrainerError):
    """A labeller is set up wrongly or cannot be reached at all."""


class WorkersError(TrainerError):
    """Ray does not start, does not answer, or has too few free CPUs."""
