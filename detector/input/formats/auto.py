"""Records that are lines or JSON objects, told apart by their first character."""

from collections.abc import Sequence

from detector.input.formats.base import Content, FormatSettings
from detector.input.formats.json_object import JsonFormat
from detector.input.formats.raw import RawFormat


class AutoFormat:
    """A JSON object where the value begins with `{`, else a line of text."""

    def __init__(self, settings: FormatSettings) -> None:
        self._json, self._raw = JsonFormat(settings), RawFormat(settings)

    def read(self, value: bytes, record_time_ms: int) -> Sequence[Content]:
        """The one line in either."""
        form = self._json if value.lstrip().startswith(b"{") else self._raw
        return form.read(value, record_time_ms)
