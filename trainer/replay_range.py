"""Beginning or end of a replay: a time, one offset for all partitions, or an offset per partition."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

_OFFSET = re.compile(r"offset:(\d{1,18})")
_PARTITION = re.compile(r"p(\d{1,6})=(\d{1,18})")
_EXAMPLES = "an ISO time (2026-01-31T08:00:00Z), offset:N, or p0=N,p1=M"


@dataclass(frozen=True)
class Bound:
    """One end of a range; exactly one of the three is set.

    Attributes:
        time_ms: the first record with this time stamp or a later one, milliseconds since the epoch.
        offset: this offset in every partition.
        offsets: partition → offset; other partitions are unbounded.
    """

    time_ms: int | None = None
    offset: int | None = None
    offsets: Mapping[int, int] = field(default_factory=dict)


def parse_bound(text: str) -> Bound:
    """The bound of a setting's text; a time without a zone is UTC.

    Raises:
        ValueError: it is none of the three.
    """
    text = text.strip()
    if found := _OFFSET.fullmatch(text):
        return Bound(offset=int(found[1]))
    parts = [_PARTITION.fullmatch(part.strip()) for part in text.split(",")]
    offsets = {int(part[1]): int(part[2]) for part in parts if part is not None}
    if len(offsets) == len(parts):
        return Bound(offsets=offsets)
    return Bound(time_ms=parse_time_ms(text))


def parse_time_ms(text: str) -> int:
    """Milliseconds since the epoch of an ISO time; one without a zone is UTC.

    Raises:
        ValueError: it is not an ISO time.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"must be {_EXAMPLES}, got {text!r}") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return round(moment.timestamp() * 1000)
