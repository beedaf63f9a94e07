"""Errors of the agent.

AgentError              the agent cannot go on
├── LostState           the snapshot that a committed position names cannot be had
├── BatchLost           the transport skipped a fetched batch; going on would lose its lines
├── PositionLost        the log is no longer what it was where the agent reads it
├── UnreadableRecord    neither of our Kafka clients gets past a record
├── SnapshotTooLarge    open windows take more room than a restart would read back
└── OutputTooLarge      the broker refuses a record of ours as too large
"""


class AgentError(Exception):
    """The agent cannot go on; the message says what to do."""


class LostState(AgentError):
    """The snapshot that a committed position names is missing or corrupt (`on_lost_state` decides what then)."""


class BatchLost(AgentError):
    """A fetched batch did not arrive in order; the agent has to start again from its checkpoint."""


class PositionLost(AgentError):
    """The log is no longer what it was at a partition's position; the agent has to start again from its checkpoint."""


class UnreadableRecord(AgentError):
    """Neither of our Kafka clients gets past a record; the message says where it is."""


class SnapshotTooLarge(AgentError):
    """The open windows of a partition take more room than a restart would read back; no checkpoint is made of them."""


class OutputTooLarge(AgentError):
    """The broker refuses a record that may not be cut; going on would lose it."""
