"""Errors of the agent."""

import traceback

from detector.input.redact import redact


class AgentError(Exception):
    """The agent cannot go on; the message says what to do."""


class LostState(AgentError):
    """The snapshot that a committed position names is missing or corrupt (`on_lost_state` decides what then)."""


class StaleGeneration(AgentError):
    """The group has had a rebalance since; another worker may own the partitions."""


class BatchLost(AgentError):
    """A fetched batch did not arrive in order; the agent has to start again from its checkpoint."""


class PositionLost(AgentError):
    """The log at a partition's position was deleted or replaced; the agent has to start again from its checkpoint."""


class UnreadableRecord(AgentError):
    """Neither of the two Kafka clients can read a record; the message says where it is."""


class SnapshotTooLarge(AgentError):
    """A partition's snapshot is larger than a restart would read back; it is not written."""


class OutputTooLarge(AgentError):
    """The broker refuses a record that must not be cut; going on would lose it."""


def redacted_traceback(error: BaseException) -> str:
    """The traceback of an error, for the log: an error that was not foreseen may quote a record."""
    return "\n".join(redact(line) for part in traceback.format_exception(error) for line in part.splitlines())
