"""The consumer that the agent makes of its settings."""

from types import SimpleNamespace

from agent.runtime.consumer_thread import BatchThread
from agent.settings import AgentSettings
from detector.testing import SYSTEM


async def test_the_group_recovers_soon_from_metadata_without_partitions() -> None:
    """Aiokafka's default of 5 minutes keeps a group idle that long when a broker restart falls into a rebalance."""
    settings = AgentSettings.model_validate({"systems": [{"topics": ["raw"], "spec": SYSTEM.model_dump()}]})
    transport = SimpleNamespace(application=SimpleNamespace(settings=settings))
    consumer = BatchThread._create_worker_consumer(SimpleNamespace(), transport)  # type: ignore[arg-type]
    try:
        assert consumer._client._metadata_max_age_ms == 30_000
    finally:
        await consumer.stop()
