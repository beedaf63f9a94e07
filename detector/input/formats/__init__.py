"""The formats of records. A new format is a class in a file of its own and a row here."""

from collections.abc import Callable

from detector.input.formats.auto import AutoFormat
from detector.input.formats.base import Format, FormatSettings
from detector.input.formats.json_object import JsonFormat
from detector.input.formats.raw import RawFormat

FORMATS: dict[str, Callable[[FormatSettings], Format]] = {
    "auto": AutoFormat,
    "raw": RawFormat,
    "json": JsonFormat,
}
