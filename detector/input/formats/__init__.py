"""The formats of records. A new format is a class in a file of its own and a row here."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from detector.input.formats.auto import AutoFormat
from detector.input.formats.base import Format
from detector.input.formats.json_object import JsonFormat
from detector.input.formats.raw import RawFormat

if TYPE_CHECKING:  # the settings look their names up in the table of formats
    from detector.input.spec import InputSpec

FORMATS: dict[str, Callable[["InputSpec"], Format]] = {
    "auto": AutoFormat,
    "raw": RawFormat,
    "json": JsonFormat,
}
