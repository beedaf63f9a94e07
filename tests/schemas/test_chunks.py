import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.chunks import Assembler, cut, parse_key, sha256_of
from schemas.errors import RecordError


@given(st.binary(max_size=300), st.integers(1, 50), st.randoms())
def test_chunks_in_any_order_give_the_blob_back(blob: bytes, chunk_bytes: int, random: random.Random) -> None:
    """A blob survives cutting and any order of its records, repeated ones included."""
    records = list(cut(blob, chunk_bytes))
    shuffled = records + records[:1]
    random.shuffle(shuffled)
    assembler = Assembler(sha256_of(blob), max_bytes=1000)
    assert next(got for key, value in shuffled if (got := assembler.add(key, value)) is not None) == blob


def test_a_flipped_bit_is_refused() -> None:
    """Content that does not hash to its key is never handed out."""
    ((key, value),) = cut(b"weights")
    with pytest.raises(RecordError, match="store is corrupt"):
        Assembler(sha256_of(b"weights"), 100).add(key, bytes([value[0] ^ 1]) + value[1:])


def test_size_is_checked_before_all_chunks_are_in() -> None:
    """A blob over the cap is refused at the chunk that crosses it."""
    records = list(cut(b"x" * 100, 10))
    assembler = Assembler(sha256_of(b"x" * 100), max_bytes=25)
    assembler.add(*records[0])
    assembler.add(*records[1])
    with pytest.raises(RecordError, match="at most 25 bytes, got 30"):
        assembler.add(*records[2])


def test_chunks_that_disagree_on_the_count_are_refused() -> None:
    """Two cuts of one blob are not mixed."""
    blob = b"x" * 100
    assembler = Assembler(sha256_of(blob), 1000)
    assembler.add(*next(cut(blob, 10)))
    with pytest.raises(RecordError, match="must have 10 chunks, got one of 5"):
        assembler.add(*next(cut(blob, 20)))


@pytest.mark.parametrize("key", [None, b"", b"abc/0of1", b"\xff", ("0" * 64) + "/1of1", ("0" * 64) + "/-1of2"])
def test_a_key_that_is_no_chunk_key_is_refused(key: bytes | str | None) -> None:
    """Foreign records on the chunk topic are refused."""
    with pytest.raises(RecordError, match="chunk key"):
        parse_key(key)
