"""Reading event times in the forms that people and shippers write; milliseconds since the epoch, UTC by default."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial

LATEST_MS = 253_402_300_799_999
"""The end of year 9999; a larger number is not a time."""

_CACHE_SIZE = 4_096
_DAY_MS = 86_400_000
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{0,12})?")
_HAS_YEAR = re.compile(r"%[YyGcxs]")

TimeReader = Callable[[str, int], int | None]
"""Reads (text, time stamp of the record in ms); None where the text is not a time of the format."""


def time_reader(time_format: str | None) -> TimeReader:
    """Reader of a format: `epoch_s`, `epoch_ms`, `iso`, strptime directives, or None for a number or ISO 8601.

    Lines of one second share the text of their time, so results are cached.
    """
    if time_format is None or time_format in _NAMED:
        read = _NAMED[time_format]
    elif _HAS_YEAR.search(time_format):
        read = partial(_strptime_ms, time_format=time_format)
    else:
        return lambda text, record_time_ms: _without_year_ms(text, time_format, record_time_ms)
    cached = lru_cache(_CACHE_SIZE)(read)
    return lambda text, _: cached(text)


def number_ms(value: float) -> int | None:
    """Milliseconds of an epoch time in seconds, milliseconds, microseconds or nanoseconds; its size decides which."""
    if not 0 <= value < 1e20:  # noqa: PLR2004 - also refuses NaN
        return None
    for below, to_ms in ((1e11, 1e3), (1e14, 1.0), (1e17, 1e-3)):
        if value < below:
            return _within(round(value * to_ms))
    return _within(round(value * 1e-6))


def iso_ms(text: str) -> int | None:
    """Milliseconds of an ISO 8601 time; one without an offset is read as UTC."""
    try:
        return _from_datetime(datetime.fromisoformat(text.strip()))
    except ValueError:
        return None


def any_ms(text: str) -> int | None:
    """Milliseconds of a number (`number_ms`) or an ISO 8601 time."""
    text = text.strip()
    return number_ms(float(text)) if _NUMBER.fullmatch(text) else iso_ms(text)


def _scaled(text: str, to_ms: float) -> int | None:
    text = text.strip()
    return _within(round(float(text) * to_ms)) if _NUMBER.fullmatch(text) else None


_NAMED: dict[str | None, Callable[[str], int | None]] = {
    None: any_ms,
    "epoch_s": lambda text: _scaled(text, 1e3),
    "epoch_ms": lambda text: _scaled(text, 1.0),
    "iso": iso_ms,
}


def _without_year_ms(text: str, time_format: str, record_time_ms: int) -> int | None:
    """A time that names no year (syslog): the year that puts it nearest before the record, a day ahead allowed."""
    if not 0 <= record_time_ms <= LATEST_MS:  # a producer that takes microseconds for milliseconds
        return None
    year = datetime.fromtimestamp(record_time_ms / 1000, UTC).year
    for candidate in (year + 1, year, year - 1):
        time_ms = _strptime_ms(f"{candidate} {text}", f"%Y {time_format}")
        if time_ms is not None and time_ms <= record_time_ms + _DAY_MS:
            return time_ms
    return None


def _strptime_ms(text: str, time_format: str) -> int | None:
    try:
        return _from_datetime(datetime.strptime(text, time_format))  # noqa: DTZ007 - made UTC below
    except ValueError:
        return None


def _from_datetime(moment: datetime) -> int | None:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return _within(round(aware.timestamp() * 1000))


def _within(time_ms: int) -> int | None:
    return time_ms if 0 <= time_ms <= LATEST_MS else None
