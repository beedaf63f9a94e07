"""What a system is: how its lines look, what keys them, how they are windowed. Trainer and agent share it.

`SystemSpec.fingerprint` is stored in every model manifest and snapshot; an agent refuses a model of another one, since
scores of windows that were cut or parsed otherwise mean nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from detector.input.spec import InputSpec
from detector.parsing import PARSING_VERSION
from detector.parsing.masking import MaskRule
from detector.windowing import WINDOWING_VERSION
from detector.windowing.kinds import KINDS
from detector.windowing.spec import WindowSpec

__all__ = ["MaskRule", "SystemSpec", "WindowSpec"]

_NOT_HASHED: Mapping[str, Any] = {
    "name": True,
    "max_record_bytes": True,
    "window": {"lateness_seconds": True, "max_future_seconds": True},
}
_FIRST_FIELDS = {"format", "layout", "line_pattern", "time_format", "message_fields", "time_fields", "key_field"} | {
    *("key_pattern", "window", "masks", "max_line_bytes", "max_tokens")
}
_FIRST_WINDOW_FIELDS = frozenset({"kind", "idle_seconds", "size_seconds", "max_lines"})


class SystemSpec(InputSpec):
    """One system of logs.

    `format`, `layout`, patterns and fields are those of `InputSpec`.
    """

    window: WindowSpec = WindowSpec()
    masks: tuple[MaskRule, ...] = ()
    max_tokens: int = Field(
        default=256, ge=8, le=4_096, description="words of a line that are parsed; later ones are left out"
    )

    @property
    def default_keys(self) -> tuple[str, ...]:
        """The system's name, under which lines without a key share windows; nothing where windows need a key."""
        return () if KINDS[self.window.kind].needs_key else (self.name,)

    def fingerprint(self) -> str:
        """Hash of everything that changes which windows are cut and which events they hold (not name or lateness).

        Settings at their defaults are left out, so a new optional setting changes no fingerprint; what the defaults
        and the built-in masks, layouts and window rules mean is in the two versions.
        """
        return _hash(
            {"parsing": PARSING_VERSION, "windowing": WINDOWING_VERSION, "spec": self._fields(exclude_defaults=True)}
        )

    def accepts(self, fingerprint: str) -> bool:
        """Whether what carries a fingerprint was made with these settings, by this release or the first one."""
        return fingerprint in (self.fingerprint(), self._first_fingerprint())

    def _first_fingerprint(self) -> str | None:
        """The fingerprint of the first release, which hashed defaults too; None once versions have been raised."""
        if (PARSING_VERSION, WINDOWING_VERSION) != (1, 1):
            return None
        changed = self._fields(exclude_defaults=True)
        window_changed = changed.get("window", {})
        fields = {
            name: value
            for name, value in self._fields(exclude_defaults=False).items()
            if name in _FIRST_FIELDS or name in changed
        }
        fields["window"] = {
            name: value
            for name, value in fields["window"].items()
            if name in _FIRST_WINDOW_FIELDS or name in window_changed
        }
        return _hash(fields)

    def _fields(self, *, exclude_defaults: bool) -> dict[str, Any]:
        fields = self.model_dump(mode="json", exclude=_NOT_HASHED, exclude_defaults=exclude_defaults)
        return {name: value for name, value in fields.items() if value != {}}


def _hash(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
