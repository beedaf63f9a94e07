"""Errors of the trainer.

TrainerError
├── SourceError         a source or target cannot be read, or holds nothing to learn from
├── LabellerError       a labeller is set up wrongly or cannot be reached at all
└── PublishError        the model is trained but not (wholly) published; the old one still serves
"""


class TrainerError(Exception):
    """Training cannot go on; the message says what to do."""


class SourceError(TrainerError):
    """A source or target cannot be read, or holds nothing to learn from."""


class LabellerError(TrainerError):
    """A labeller is set up wrongly or cannot be reached at all."""


class PublishError(TrainerError):
    """The model is trained but not wholly published; the model that serves stays."""
