"""Errors of the broker package."""


class BrokerError(Exception):
    """Kafka does not answer, refuses what was asked, or lacks a topic; the message says what to do."""


class TopicError(BrokerError):
    """The broker answers, but a topic is absent, cannot be read, or brings nothing."""


class OffsetGone(TopicError):
    """A position is no longer, or not yet, in a topic's log."""


class PublishError(BrokerError):
    """A model is not, or not wholly, published; the model that serves stays."""


class SettingsError(ValueError):
    """A setting is wrong: one line that names the key, the value and what is allowed."""
