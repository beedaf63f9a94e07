"""Templates that the model lacks: learned by the incremental Drain, shared through the templates topic.

They are for the next training and never change a score, which depends on (line, model) alone.
"""

from collections import OrderedDict
from collections.abc import Iterable

import structlog

from detector.input.redact import without_secrets
from detector.parsing.drain import IncrementalDrain
from detector.parsing.parser import Event
from detector.parsing.templates import is_wildcards_alone
from schemas.template_record import TemplateRecord

MAX_TEMPLATES = 4_096
_SEEN = 50_000


class TemplateCatalogue:
    """Learns one system's novel templates; stops at `max_templates`, so that a flood of random lines stays bounded."""

    def __init__(self, system: str, max_templates: int = MAX_TEMPLATES) -> None:
        self._system = system
        self._max_templates = max_templates
        self._drain = IncrementalDrain(max_clusters=max_templates)
        self._known: set[str] = set()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._full = False

    def __len__(self) -> int:
        return len(self._known)

    def load(self, records: Iterable[TemplateRecord]) -> None:
        """Start from what this and other agents have published."""
        found = [record for record in records if record.system == self._system]
        replaced = {record.replaces for record in found}
        texts = sorted({record.text for record in found if record.id not in replaced})[: self._max_templates]
        self._drain.load(texts)
        self._known = {record.id for record in found}

    def learn(self, event: Event, topic: str, partition: int, offset: int, now_ms: int) -> TemplateRecord | None:
        """Learn from a novel event; the record of a template that was not yet published, else None."""
        if event.id in self._seen:
            return None
        self._seen[event.id] = None
        if len(self._seen) > _SEEN:
            self._seen.popitem(last=False)
        if len(self._known) >= self._max_templates:
            if not self._full:
                self._full = True
                structlog.get_logger(__name__).warning(
                    "template catalogue is full, further templates are not learned: retrain, or check key and masks",
                    system=self._system,
                    templates=self._max_templates,
                )
            return None
        text = without_secrets(event.text)
        if is_wildcards_alone(text):
            return None
        learned = self._drain.learn(text)
        if learned.template.id in self._known:
            return None
        self._known.add(learned.template.id)
        return TemplateRecord(
            id=learned.template.id,
            system=self._system,
            text=learned.template.text,
            first_seen_ms=now_ms,
            topic=topic,
            partition=partition,
            offset=offset,
            replaces=learned.replaces,
        )
