"""A template that an agent learned from lines that the model's frozen templates do not match."""

from schemas.codec import Record


class TemplateRecord(Record, frozen=True, kw_only=True):
    """One learned template; `id` is the hash of its text, so all workers agree on it."""

    id: str
    system: str
    text: str
    first_seen_ms: int
    topic: str
    partition: int
    offset: int
    replaces: str = ""
