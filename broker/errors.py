"""Errors of the broker package.

BrokerError             Kafka does not answer, refuses, or lacks a topic
SettingsError           a setting is wrong: one line that names the key, the value and what is allowed
"""


class BrokerError(Exception):
    """Kafka does not answer, refuses what was asked, or lacks a topic; the message says what to do."""


class SettingsError(ValueError):
    """A setting is wrong: one line that names the key, the value and what is allowed."""


def unanswered(servers: str, what: str) -> BrokerError:
    """The error of a broker that does not answer: where it was looked for, what came instead, what to check."""
    return BrokerError(
        f"Kafka at {servers} must answer, got {what}: check kafka.bootstrap_servers, its security settings, and that "
        "the broker runs"
    )
