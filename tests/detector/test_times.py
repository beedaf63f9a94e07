"""Times as people write them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.input.times import any_ms, iso_ms, number_ms, time_reader

moments = st.datetimes(min_value=datetime(1973, 3, 4), max_value=datetime(2200, 1, 1))  # noqa: DTZ001


@given(moments)
def test_iso_times_are_read_back(moment: datetime) -> None:
    """A time written in ISO form, as UTC or with no offset, is read to the millisecond."""
    expected = round(moment.replace(tzinfo=UTC).timestamp() * 1000)
    assert iso_ms(moment.isoformat()) == expected
    assert any_ms(f" {moment.isoformat()}Z") == expected


@given(st.integers(100_000_000, 7_000_000_000))
def test_the_unit_of_a_number_is_told_by_its_size(seconds: int) -> None:
    """From 1973 on, seconds, milliseconds, microseconds and nanoseconds cannot be taken for one another."""
    for factor in (1, 10**3, 10**6, 10**9):
        assert number_ms(seconds * factor) == seconds * 1000


@pytest.mark.parametrize(
    ("time_format", "text", "expected"),
    [
        ("epoch_s", "1117838570", 1_117_838_570_000),
        ("epoch_s", "1117838570.25", 1_117_838_570_250),
        ("epoch_ms", "1117838570250", 1_117_838_570_250),
        ("epoch_s", "1e9", None),
        ("epoch_s", "99999999999999", None),
        ("epoch_s", "-1", None),
        ("iso", "2005-06-03T22:42:50Z", 1_117_838_570_000),
        ("iso", "1117838570", None),
        ("%y%m%d %H%M%S", "081109 203518", 1_226_262_918_000),
        ("%y%m%d %H%M%S", "081399 203518", None),
        ("%d/%b/%Y:%H:%M:%S %z", "03/Jun/2005:15:42:50 -0700", 1_117_838_570_000),
        (None, "nonsense", None),
        (None, "nan", None),
    ],
)
def test_formats(time_format: str, text: str, expected: int | None) -> None:
    """Each format reads its own times, and None where a text is no such time."""
    read = time_reader(time_format)
    assert (read(text, 0), read(text, 0)) == (expected, expected)


def test_a_record_time_beyond_the_calendar_gives_no_year() -> None:
    """A record stamped in microseconds as if they were milliseconds leaves a syslog time unread, and raises nothing."""
    read = time_reader("%b %d %H:%M:%S")
    assert read("Nov 22 10:00:00", 1_763_800_000_000) == 1_763_805_600_000
    assert [read("Nov 22 10:00:00", wrong) for wrong in (1_763_800_000_000_000, 2**63 - 1, -1)] == [None] * 3
    assert read("Nov 22 10:00:00", 253_402_300_799_999) is not None


def test_the_memory_of_a_reader_is_bounded() -> None:
    """A stream of ever new times is read on and on; what is remembered does not grow with it."""
    read = time_reader("epoch_s")
    assert [read(str(second), 0) for second in range(10_000)] == [second * 1000 for second in range(10_000)]
    cells = getattr(read, "__closure__")  # noqa: B009 - the type of a callable has none
    (known,) = [cell.cell_contents for cell in cells]
    assert 0 < known.cache_info().currsize <= 4_096
