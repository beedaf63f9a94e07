"""The settings of reading: how the records of a system look, and what keys their lines."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from detector.input.formats import FORMATS
from detector.settings import Frozen, RowOf, checked_pattern


class InputSpec(Frozen):
    """How the records of a system are read.

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
    format: Annotated[str, RowOf(FORMATS)] = Field(
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
    max_line_bytes: int = Field(default=8_192, ge=64, le=1_048_576, description="longer lines are cut here")
    max_record_bytes: int = Field(default=1_048_576, ge=1_024, description="larger messages go to the dead letters")

    @field_validator("line_pattern", "key_pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        return None if pattern is None else checked_pattern(pattern)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.layout == "custom":
            if self.line_pattern is None or "message" not in re.compile(self.line_pattern).groupindex:
                raise ValueError("line_pattern must have a group named 'message' when layout is 'custom'")
        elif self.line_pattern is not None:
            raise ValueError(f"line_pattern must be left out unless layout is 'custom', got layout {self.layout!r}")
        return self

    @property
    def default_keys(self) -> tuple[str, ...]:
        """Keys of a line that names none."""
        return ()
