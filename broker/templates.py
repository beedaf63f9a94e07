"""The templates topic, read: what agents have learned, for the next agent and the next training."""

import structlog

from broker.settings import KafkaSettings
from broker.topic_reader import read_topic
from detector.parsing.templates import template_id
from schemas.codec import decode
from schemas.errors import RecordError
from schemas.template_record import TemplateRecord


def read_templates(kafka: KafkaSettings, topic: str) -> list[TemplateRecord]:
    """Each key's newest record; those that cannot be read, or whose id is not that of their text, are left out.

    Raises:
        BrokerError: the broker does not answer, or the topic is absent.
    """
    newest = {message.key(): message.value() for message in read_topic(kafka, topic)}
    found, problems = [], []
    for value in newest.values():
        try:
            found += [] if value is None else [_checked(value)]
        except RecordError as error:
            problems.append(str(error)[:200])
    if problems:
        structlog.get_logger(__name__).warning(
            "templates ignored", topic=topic, records=len(problems), first_error=problems[0]
        )
    return found


def _checked(value: bytes) -> TemplateRecord:
    record = decode(value, TemplateRecord)
    if not record.text.split() or record.id != template_id(record.text):
        raise RecordError(f"id must be the hash of a text, got {record.id!r}")
    return record
