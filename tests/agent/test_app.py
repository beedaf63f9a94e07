"""The Faust app that the agent makes of its settings."""

from agent.app import create_app
from agent.settings import AgentSettings
from detector.testing import SYSTEM


def test_the_group_recovers_soon_from_metadata_without_partitions() -> None:
    """Aiokafka's default of 5 minutes keeps a group idle that long when a broker restart falls into a rebalance."""
    settings = AgentSettings.model_validate({"systems": [{"topics": ["raw"], "spec": SYSTEM.model_dump()}]})
    assert create_app(settings).conf.consumer_metadata_max_age_ms == 30_000
