"""Names that the agent's integration tests take from `testkit`."""

from testkit.kafka_bed import AgentProcess
from testkit.kafka_bed import KafkaBed as Bench
from testkit.processes import wait_until

__all__ = ["AgentProcess", "Bench", "wait_until"]
