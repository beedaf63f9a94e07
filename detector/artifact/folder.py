"""An artifact as a folder on disk: written whole or not at all, and never read beyond its size limit."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from detector.errors import ArtifactError

MAX_BYTES = 64 * 1024 * 1024
_MAX_FILES = 16


def write_folder(path: str | os.PathLike[str], files: Mapping[str, bytes]) -> None:
    """Write an artifact's files; the folder appears whole, or what was there before stays.

    Raises:
        ArtifactError: the files cannot be written; nothing is left behind.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        for name, content in files.items():
            _write_durably(temporary / _plain(name), content)
        temporary.chmod(0o755)
        _put_in_place(temporary, target)
    except OSError as error:
        raise ArtifactError(f"{target} must be writable and have room for the model, got: {error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def read_folder(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> dict[str, bytes]:
    """Content of a folder's files by name; sizes are checked before anything is read.

    Raises:
        ArtifactError: the folder is absent, holds something other than files, or holds more than `max_bytes`.
    """
    folder = Path(path)
    try:
        entries = sorted(folder.iterdir())
        if len(entries) > _MAX_FILES or not all(entry.is_file() for entry in entries):
            raise ArtifactError(
                f"{folder} must hold the files of one model and nothing else, got {len(entries)} entries"
            )
        size = sum(entry.stat().st_size for entry in entries)
        if size > max_bytes:
            raise ArtifactError(
                f"{folder} must be at most {max_bytes} bytes, got {size}: raise the limit or train smaller"
            )
        return {entry.name: _read_at_most(entry, max_bytes) for entry in entries}
    except OSError as error:
        raise ArtifactError(f"{folder} must be a readable folder with a model in it, got: {error}") from error


def _plain(name: str) -> str:
    if Path(name).name != name or name.startswith("."):
        raise ArtifactError(f"file names must be plain, got {name!r}")
    return name


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(temporary: Path, target: Path) -> None:
    """Rename into place; a folder already there is moved away first, and back if the rename fails."""
    if not target.exists():
        temporary.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        target.rename(aside / target.name)
        try:
            temporary.rename(target)
        except OSError:
            (aside / target.name).rename(target)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _read_at_most(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)  # a file may grow after its size was checked
    if len(content) > max_bytes:
        raise ArtifactError(f"{path} must be at most {max_bytes} bytes, got more")
    return content
