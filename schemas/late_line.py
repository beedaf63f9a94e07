"""A line that came after its window was emitted."""

from schemas.codec import Record


class LateLine(Record, frozen=True, kw_only=True):
    """Where the late line is and how late it was; times in milliseconds since the epoch.

    Attributes:
        index: index of the line among the lines of its record. Since version 1.1.
    """

    schema_version: str = "1.1"
    system: str
    key: str
    topic: str
    partition: int
    offset: int
    event_time_ms: int
    watermark_ms: int
    template_id: str
    text: str
    index: int = 0
