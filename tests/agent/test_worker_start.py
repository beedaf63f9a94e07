"""What a starting agent takes over from the topics, on the embedded broker."""

import asyncio

from confluent_kafka import Producer

from agent.settings import AgentSettings
from agent.worker import Worker
from broker.admin import ensure_topics
from broker.embedded import embedded_broker
from broker.settings import KafkaSettings
from detector.parsing.templates import template_id
from detector.testing import SYSTEM
from schemas.codec import encode
from schemas.template_record import TemplateRecord
from schemas.topics import Topics


def record(text: str, of: str = "") -> bytes:
    """A learned template, its id that of another text where one is named."""
    learned = TemplateRecord(
        id=template_id(of or text), system=SYSTEM.name, text=text, first_seen_ms=1, topic="raw", partition=0, offset=0
    )
    return encode(learned)


async def test_a_forged_template_is_not_loaded() -> None:
    """A record whose id is not that of its text would make the catalogue take a template as published."""
    with embedded_broker() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        ensure_topics(kafka, Topics(), raw={"raw": 1})
        producer = Producer(kafka.librdkafka())
        for key, value in ((b"a", record("disk <NUM> is full")), (b"b", record("harmless", of="disk <NUM> failed"))):
            producer.produce(Topics().templates, value, key)
        assert producer.flush(10) == 0
        settings = {
            "kafka": kafka.model_dump(),
            "systems": [{"topics": ["raw"], "spec": SYSTEM.model_dump()}],
            "http": {"port": 0},
            "model": {"wait_seconds": 0.1},
        }
        worker = Worker(AgentSettings.model_validate(settings))
        await worker.start()
        await asyncio.sleep(0)  # its tasks begin
        try:
            assert worker.systems[SYSTEM.name].catalogue._known == {template_id("disk <NUM> is full")}
        finally:
            await worker.stop()
