"""Errors of the broker package.

BrokerError             Kafka does not answer, refuses, or lacks a topic
SettingsError           a setting is wrong: one line that names the key, the value and what is allowed
"""


class BrokerError(Exception):
    """Kafka does not answer, refuses what was asked, or lacks a topic; the message says what to do."""


class SettingsError(ValueError):
    """A setting is wrong: one line that names the key, the value and what is allowed."""
