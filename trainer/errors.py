"""Errors of the trainer.

TrainerError
├── SourceError         a source or target cannot be read, or holds nothing to learn from
├── HistoryError        the target's history cannot carry a model
├── LabellerError       a labeller is set up wrongly or cannot be reached at all
└── WorkersError        Ray cannot be used
"""


class TrainerError(Exception):
    """Training cannot go on; the message says what to do."""


class SourceError(TrainerError):
    """A source or target cannot be read, or holds nothing to learn from."""


class HistoryError(TrainerError):
    """The target's history cannot carry a model; the message says what to change."""


class LabellerError(TrainerError):
    """A labeller is set up wrongly or cannot be reached at all."""


class WorkersError(TrainerError):
    """Ray does not start, does not answer, or has too few free CPUs."""
