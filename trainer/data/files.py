"""Log and label files: lines as bytes, `.gz`, `.xz` and `.bz2` read by their suffix, memory bounded by one line."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from trainer.errors import SourceError

_UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error)
_BUFFER_BYTES = 1 << 20
_UNPACK: dict[str, Callable[[BinaryIO], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_OTHER_ARCHIVES = (".zst", ".zip", ".tar", ".tgz", ".7z", ".lz4")


def read_lines(path: Path, max_bytes: int) -> Iterator[bytes]:
    """Every line of a file without its line end; of one longer than `max_bytes`, the first `max_bytes` + 1.

    Raises:
        SourceError: the file cannot be read to its end.
    """
    with open_binary(path) as file:
        try:
            while line := file.readline(max_bytes + 2):
                if not line.endswith(b"\n"):
                    _skip_rest(file, max_bytes)
                yield line.rstrip(b"\r\n")[: max_bytes + 1]
        except _UNREADABLE as error:
            raise SourceError(f"{path} must be readable to its end, got {error or type(error).__name__}") from error


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """A file opened for reading, unpacked by its suffix.

    Raises:
        SourceError: it is absent, not a file, or packed in another way.
    """
    suffix = path.suffix.lower()
    if suffix in _OTHER_ARCHIVES:
        raise SourceError(f"{path} must be plain, .gz, .xz or .bz2, got {suffix}: unpack it first")
    if path.is_dir():
        raise SourceError(f"{path} must be a file, got a folder: name one of its files")
    try:
        raw = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} must be a readable file, got {error.strerror or error}") from error
    with raw:
        unpack = _UNPACK.get(suffix)
        if unpack is None:
            yield raw
        else:
            with unpack(raw) as unpacked, io.BufferedReader(unpacked, _BUFFER_BYTES) as file:
                yield cast(BinaryIO, file)


def _skip_rest(file: BinaryIO, max_bytes: int) -> None:
    while rest := file.readline(max_bytes):
        if rest.endswith(b"\n"):
            return
