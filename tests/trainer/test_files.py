"""Reading log files."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.data.files import read_lines
from trainer.errors import SourceError

LINES = [b"first", b"", b"\xff third", b"last without an end"]
CONTENT = b"first\r\n\n\xff third\nlast without an end"


@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.log", bytes), ("a.log.gz", gzip.compress), ("a.log.xz", lzma.compress), ("a.BZ2", bz2.compress)],
)
def test_lines_come_without_their_ends_however_packed(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    """Bytes are left as they are; only line ends go."""
    (tmp_path / name).write_bytes(pack(CONTENT))
    assert list(read_lines(tmp_path / name, 100)) == LINES


def test_a_long_line_is_cut_and_the_next_is_whole(tmp_path: Path) -> None:
    """Of a line beyond the limit one byte more than allowed is kept, so that the reader sees it is too long."""
    (tmp_path / "a").write_bytes(b"x" * 1_000 + b"\n" + b"y" * 10 + b"\n" + b"z" * 11)
    assert list(read_lines(tmp_path / "a", 10)) == [b"x" * 11, b"y" * 10, b"z" * 11]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_file_cut_short_is_an_error(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Half a download is not half a corpus."""
    path = tmp_path / ("a.gz" if pack is gzip.compress else "a.xz")
    path.write_bytes(pack(CONTENT * 1_000)[:-20])
    with pytest.raises(SourceError, match=r"a\..z must be readable to its end"):
        list(read_lines(path, 100))


@pytest.mark.parametrize(("name", "message"), [("a.zst", "got .zst: unpack it first"), ("absent", "No such file")])
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, message: str) -> None:
    """Unknown packing and missing files are named."""
    with pytest.raises(SourceError, match=message):
        list(read_lines(tmp_path / name, 100))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """The user is asked for one of its files."""
    with pytest.raises(SourceError, match="got a folder"):
        list(read_lines(tmp_path, 100))
