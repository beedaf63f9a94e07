"""A storm of faults on a real Kafka, judged from topics alone."""

import uuid
from pathlib import Path

import pytest

from testkit.kafka_bed import KafkaBed
from testkit.local_kafka import LocalKafka
from testkit.storm import PARTITIONS, Storm

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.mark.usefixtures("kafka")
def test_a_storm_loses_nothing(tmp_path: Path) -> None:
    """Kills, stops, pauses, joins and a broker kill: every line is accounted for, every window whole, once, alerted."""
    with LocalKafka() as broker:
        bed = KafkaBed(broker.bootstrap_servers, uuid.uuid4().hex[:12], PARTITIONS)
        result = Storm(bed, broker, tmp_path, seed=7, seconds=30).run()
    assert result.verdict.problems == {}
    assert result.verdict.windows > 0
    assert set(result.faults) == {"sigkill", "sigterm", "sigstop", "broker_kill", "join"}
