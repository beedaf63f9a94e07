"""Records that are lines or JSON objects, told apart by their first character."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from detector.input.formats.base import Content
from detector.input.formats.json_object import JsonFormat
from detector.input.formats.raw import RawFormat

if TYPE_CHECKING:
    from detector.input.spec import InputSpec


class AutoFormat:
    """A JSON object where the value begins with `{`, else a line of text."""

    def __init__(self, spec: "InputSpec") -> None:
        self._json, self._raw = JsonFormat(spec), RawFormat(spec)

    def read(self, value: bytes, record_time_ms: int) -> Sequence[Content]:
        """The one line in either."""
        form = self._json if value.lstrip().startswith(b"{") else self._raw
        return form.read(value, record_time_ms)
