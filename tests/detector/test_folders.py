"""Artifacts as folders."""

from pathlib import Path
from typing import Any

import pytest

from detector.artifact.export import unpack
from detector.artifact.folder import read_folder, write_folder
from detector.errors import ArtifactError
from detector.testing import tiny_files


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A folder holds the artifact's files and nothing else, and loads."""
    write_folder(tmp_path / "deep" / "model", tiny_files())

    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["model"]
    assert read_folder(tmp_path / "deep" / "model") == tiny_files()
    assert unpack(read_folder(tmp_path / "deep" / "model")).name == "orders"


def test_a_new_model_replaces_the_old_one_whole(tmp_path: Path) -> None:
    """Files that only the old model had are gone, and no temporary folder is left."""
    write_folder(tmp_path / "model", {"a": b"old", "b": b"old"})
    write_folder(tmp_path / "model", {"a": b"new"})

    assert read_folder(tmp_path / "model") == {"a": b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing fails half-way the old model stays, and nothing partial is visible."""
    write_folder(tmp_path / "model", {"a": b"old"})
    opened = Path.open

    def full(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name == "b":
            raise OSError(28, "No space left on device")
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(ArtifactError, match=r"have room for the model.*No space left"):
        write_folder(tmp_path / "model", {"a": b"new", "b": b"new"})
    monkeypatch.undo()

    assert read_folder(tmp_path / "model") == {"a": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failed_swap_puts_the_old_model_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last rename fails the old folder is where it was."""
    write_folder(tmp_path / "model", {"a": b"old"})
    rename = Path.rename
    renames = []

    def second_fails(path: Path, target: Path) -> Path:
        renames.append(path)
        if len(renames) == 2:
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(ArtifactError, match="Input/output error"):
        write_folder(tmp_path / "model", {"a": b"new"})
    monkeypatch.undo()

    assert read_folder(tmp_path / "model") == {"a": b"old"}


def test_oversize_is_refused_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes of all files together are looked at before one is opened."""
    write_folder(tmp_path / "model", {"a": b"12345", "b": b"67890"})
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("read before the size was known"))

    with pytest.raises(ArtifactError, match="at most 9 bytes, got 10"):
        read_folder(tmp_path / "model", max_bytes=9)


def test_a_folder_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    """No folder, a file in its place, and folders in it are not taken for a model."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "parent" / "child").mkdir(parents=True)

    for name, message in (("nowhere", "readable folder"), ("file", "readable folder"), ("parent", "nothing else")):
        with pytest.raises(ArtifactError, match=message):
            read_folder(tmp_path / name)


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/b", ".hidden"])
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    """A file's name is a plain name."""
    with pytest.raises(ArtifactError, match="names must be plain"):
        write_folder(tmp_path / "model", {name: b""})
    assert list(tmp_path.iterdir()) == []
