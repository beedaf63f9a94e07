"""The alert: one anomalous window, a fact, as CloudEvents 1.0 structured JSON with OpenTelemetry's log names."""

import msgspec

from schemas.codec import Record

ALERT_TYPE = "io.fusionlog.alert.v1"
ALERT_SCHEMA = "https://fusionlog.dev/schemas/alert/1-0-0.json"


class AlertWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The window that an alert is about. Times are RFC 3339 in UTC."""

    kind: str
    key: str
    start: str
    end: str
    lines: int
    closed_by: str
    truncated: bool = False


class TemplateEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """A template of the window and its contribution: the score's log-odds with it minus those without it, in nats."""

    id: str
    text: str
    contribution: float
    novel: bool = False
    count: int = 1


class SourceRange(msgspec.Struct, frozen=True, kw_only=True):
    """Where the window's lines are: first and last offset in a partition of a raw topic.

    Attributes:
        first_index, last_index: index of the first and last line among the lines of their records. Since version 1.1.
    """

    topic: str
    partition: int
    first: int
    last: int
    first_index: int = 0
    last_index: int = 0


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What in the window supports the alert; samples are raw lines, redacted and with control characters escaped."""

    templates: tuple[TemplateEvidence, ...] = ()
    samples: tuple[str, ...] = ()
    source: tuple[SourceRange, ...] = ()


class NearestSourceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The event of the mature system that the strongest evidence is most like."""

    text: str
    cosine: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why the window is anomalous: `knowledge` is `general`, `proprietary` or `baseline` (no model yet)."""

    knowledge: str
    nearest_source_event: NearestSourceEvent | None = None
    summary: str = ""


class ModelReference(msgspec.Struct, frozen=True, kw_only=True):
    """The model that scored the window; version 0 is the baseline that stands in before the first model."""

    name: str
    version: int
    sha256: str
    labeller: str = ""


class AlertData(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of an alert."""

    system: str
    fingerprint: str
    severity_text: str
    severity_number: int
    score: float
    threshold: float
    reason: tuple[str, ...]
    replay: bool
    window: AlertWindow
    evidence: Evidence
    explanation: Explanation
    model: ModelReference
    links: dict[str, str] = {}


class Alert(Record, frozen=True, kw_only=True):
    """CloudEvents envelope; `id` is the window id, so a repeated alert overwrites itself."""

    schema_version: str = "1.1"
    id: str
    source: str
    subject: str
    time: str
    data: AlertData
    specversion: str = "1.0"
    type: str = ALERT_TYPE
    datacontenttype: str = "application/json"
    dataschema: str = ALERT_SCHEMA

    def headers(self) -> list[tuple[str, bytes]]:
        """CloudEvents attributes as Kafka headers, for consumers that route without parsing."""
        names = ("specversion", "id", "source", "type", "subject", "time")
        return [(f"ce_{name}", str(getattr(self, name)).encode()) for name in names]
