import pytest

from schemas.dead_letter import MESSAGE_CHARACTERS, DeadLetter
from schemas.errors import RecordError

LETTER = DeadLetter(
    reason="bad_json", message="x", topic="raw", partition=3, offset=9, timestamp_ms=5, app_version="0.1.0"
)


def test_headers_read_back() -> None:
    """A dead letter is read back from its headers, among other headers."""
    assert DeadLetter.from_headers([("trace", b"1"), *LETTER.headers()]) == LETTER


def test_a_long_message_is_cut() -> None:
    """An attacker's message cannot blow the headers up."""
    letter = DeadLetter("r", "m" * 10_000, "raw", 0, 0, 0, "0")
    assert len(dict(letter.headers())["fusionlog.dlq.error.message"]) == MESSAGE_CHARACTERS


@pytest.mark.parametrize(
    "headers", [[], LETTER.headers()[1:], [*LETTER.headers(), ("fusionlog.dlq.source.offset", b"x")]]
)
def test_headers_of_others_are_refused(headers: list[tuple[str, bytes]]) -> None:
    """Headers of other records are refused."""
    with pytest.raises(RecordError, match="not a dead letter"):
        DeadLetter.from_headers(headers)
