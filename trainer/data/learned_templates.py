"""Templates that agents have learned since the last training, from the compacted templates topic."""

from collections.abc import Iterable

import structlog

from broker.errors import TopicError
from broker.templates import read_templates
from schemas.template_record import TemplateRecord
from trainer.settings import TrainerSettings

MAX_TEMPLATES = 4_096
"""As many as an agent learns per system."""


def read_learned_templates(settings: TrainerSettings) -> tuple[str, ...]:
    """Texts of the target's learned templates; none for a target that is a file, or where the topic is absent.

    Raises:
        BrokerError: the broker does not answer.
    """
    if settings.target.topic is None:
        return ()
    topic = settings.topics.templates
    try:
        records = read_templates(settings.kafka, topic)
    except TopicError as error:
        structlog.get_logger(__name__).info("templates.not_read", topic=topic, reason=str(error))
        return ()
    return standing_templates(records, settings.target.spec.name)


def standing_templates(records: Iterable[TemplateRecord], system: str, limit: int = MAX_TEMPLATES) -> tuple[str, ...]:
    """Texts of the templates of a system that no other one replaces, sorted; beyond `limit` the newest."""
    found = [record for record in records if record.system == system]
    replaced = {record.replaces for record in found if record.replaces != record.id}
    standing = {record.text: record.first_seen_ms for record in found if record.id not in replaced}
    newest = sorted(standing, key=lambda text: (-standing[text], text))[:limit]
    return tuple(sorted(newest))
