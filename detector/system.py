"""What a system is: how its lines look, what keys them, how they are windowed. Trainer and agent share it.

`SystemSpec.fingerprint` is stored in every model manifest; an agent refuses a model of another fingerprint, since
scores of windows that were cut or parsed otherwise mean nothing.
"""

import hashlib
import json
import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WindowSpec(_Frozen):
    """How lines become windows (docs/streaming.md#windows; paper section II for `count`)."""

    kind: Literal["session", "tumbling", "count"] = Field(
        default="session", description="by gaps between lines of a key, by buckets of time, by number of lines"
    )
    idle_seconds: float = Field(default=21_600.0, gt=0, description="session: event-time gap that ends it")
    size_seconds: float = Field(default=60.0, gt=0, description="tumbling: length of a bucket of event time")
    max_lines: int = Field(default=512, ge=1, le=10_000, description="lines after which a window is cut; N for `count`")
    lateness_seconds: float = Field(
        default=10.0, ge=0, description="how far the watermark trails the newest event time"
    )
    max_future_seconds: float = Field(
        default=3_600.0, gt=0, description="a time further ahead of the clock is not believed"
    )


class MaskRule(_Frozen):
    """An extra mask: what matches `pattern` becomes `<NAME>`."""

    name: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,31}$", description="what stands for it: <NAME>")
    pattern: str = Field(min_length=1, max_length=500, description="regular expression of what is masked")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return _checked_pattern(pattern)


class SystemSpec(_Frozen):
    """One system of logs.

    `format` is the envelope of a Kafka message or file line (`auto`: JSON when it starts with `{`); `layout` is the
    shape of the text inside. `custom` takes `line_pattern`, a regular expression with a group `message` and optionally
    `time` and `key`, and `time_format` (`epoch_s`, `epoch_ms`, `iso`, or strptime directives, read as UTC).
    `key_pattern` finds keys anywhere in the text: its group 1, or all of it; a line that names k keys goes to all k.
    Event time is a JSON record's time field, else the layout's time (`custom`: group `time`), else the record's own; a
    file's records have none, so there a line without a time takes that of the line before it.
    """

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="the system's name, in alerts and of its models"
    )
    format: Literal["auto", "raw", "json"] = Field(
        default="auto", description="the message's envelope; auto: JSON when it starts with {"
    )
    layout: Literal["plain", "loghub-hdfs", "loghub-bgl", "loghub-openstack", "custom"] = Field(
        default="plain", description="shape of the text inside; plain reads no time in it, custom takes line_pattern"
    )
    line_pattern: str | None = Field(
        default=None, max_length=1000, description="regular expression with groups message and maybe time and key"
    )
    time_format: str | None = Field(
        default=None,
        max_length=64,
        description="of custom's group time and of time_fields: epoch_s, epoch_ms, iso or strptime directives, as UTC",
    )
    message_fields: tuple[str, ...] = Field(
        default=("message", "log", "MESSAGE", "msg"), description="JSON fields that hold the line; the first found"
    )
    time_fields: tuple[str, ...] = Field(
        default=("@timestamp", "timestamp", "time", "ts"),
        description="JSON fields that hold the event time; without one: the layout's time, else the record's",
    )
    key_field: str | None = Field(default=None, description="JSON field (dots descend) that holds the key")
    key_pattern: str | None = Field(
        default=None, max_length=500, description="regular expression that finds keys in the text: its group 1, or all"
    )
    window: WindowSpec = WindowSpec()
    masks: tuple[MaskRule, ...] = ()
    max_line_bytes: int = Field(default=8_192, ge=64, le=1_048_576, description="longer lines are cut here and flagged")
    max_record_bytes: int = Field(default=1_048_576, ge=1_024, description="larger messages go to the dead letters")
    max_tokens: int = Field(
        default=256, ge=8, le=4_096, description="words of a line that are parsed; later ones are left out"
    )

    @field_validator("line_pattern", "key_pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        return None if pattern is None else _checked_pattern(pattern)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.layout == "custom":
            if self.line_pattern is None or "message" not in re.compile(self.line_pattern).groupindex:
                raise ValueError("line_pattern must have a group named 'message' when layout is 'custom'")
        elif self.line_pattern is not None:
            raise ValueError(f"line_pattern must be left out unless layout is 'custom', got layout {self.layout!r}")
        return self

    def fingerprint(self) -> str:
        """Hash of everything that changes which windows are cut and which events they hold (not name or lateness)."""
        fields = self.model_dump(mode="json", exclude={"name", "max_record_bytes"})
        for name in ("lateness_seconds", "max_future_seconds"):
            fields["window"].pop(name)
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def _checked_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"must be a regular expression, got {pattern!r}: {error}") from error
    return pattern
