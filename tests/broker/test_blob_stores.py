"""Artifact stores."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.registry.artifacts import load_artifact, save_artifact
from broker.registry.blob_stores import BlobStore, FolderStore
from broker.testing import InMemoryBlobStore
from detector.artifact.export import unpack
from detector.errors import ArtifactError, StoreError
from detector.testing import tiny_files
from schemas.chunks import sha256_of

LIMIT = 1 << 20


@pytest.fixture(params=["path", "file-url", "memory-url", "fake"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """Each kind of store, empty."""
    stores: dict[str, Callable[[], BlobStore]] = {
        "path": lambda: FolderStore(str(tmp_path / "store")),
        "file-url": lambda: FolderStore(f"file://{tmp_path}/store"),
        "memory-url": lambda: FolderStore(f"memory://{uuid.uuid4().hex}/store"),
        "fake": InMemoryBlobStore,
    }
    return stores[request.param]()


def test_a_blob_is_named_by_its_hash(store: BlobStore) -> None:
    """What is put comes back under its SHA-256; putting it again changes nothing."""
    sha256 = store.put(b"content")

    assert sha256 == sha256_of(b"content") == store.put(b"content")
    assert store.get(sha256, LIMIT) == b"content"
    assert store.get(store.put(b""), 0) == b""


def test_a_missing_blob_says_what_to_do(store: BlobStore) -> None:
    """A hash that the store lacks is an error that names it."""
    with pytest.raises(StoreError, match="must hold blob 000000000000, got none"):
        store.get("0" * 64, LIMIT)


def test_a_large_blob_is_refused(store: BlobStore) -> None:
    """More than the limit is refused."""
    sha256 = store.put(b"x" * 100)

    assert len(store.get(sha256, 100)) == 100
    with pytest.raises(StoreError, match="at most 99 bytes, got 100"):
        store.get(sha256, 99)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_only_hashes_are_names(store: BlobStore, name: str) -> None:
    """What is no SHA-256 never becomes a path."""
    with pytest.raises(StoreError, match="64 hexadecimal digits"):
        store.get(name, LIMIT)


def test_altered_content_is_found_out(tmp_path: Path) -> None:
    """A blob whose bytes changed on disk is not handed out."""
    store = FolderStore(str(tmp_path))
    sha256 = store.put(b"content")
    (tmp_path / sha256[:2] / sha256).write_bytes(b"c0ntent")

    with pytest.raises(StoreError, match="must hash to its name"):
        store.get(sha256, LIMIT)
    store.put(b"content")
    assert store.get(sha256, LIMIT) == b"content"


def test_a_large_blob_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is asked of the file system before the content."""
    store = FolderStore(str(tmp_path))
    sha256 = store.put(b"x" * 100)
    monkeypatch.setattr(store._files, "cat_file", lambda *_, **__: pytest.fail("read before its size was known"))

    with pytest.raises(StoreError, match="at most 99 bytes"):
        store.get(sha256, 99)


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is one readable error, and no partial blob or temporary file stays."""

    def full(_path: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    store = FolderStore(str(tmp_path))
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match=r"must be writable.*No space left"):
        store.put(b"content")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("error", [type("NoCredentialsError", (Exception,), {}), KeyError, OSError, RuntimeError])
def test_whatever_a_file_system_raises_is_a_store_error(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """File systems raise what their drivers do, such as botocore's own errors: all of it may be temporary."""
    store = FolderStore(f"memory://{uuid.uuid4().hex}")

    def fail(*_: object, **__: object) -> None:
        raise error

    for name in ("info", "cat_file", "pipe_file"):
        monkeypatch.setattr(store._files, name, fail, raising=True)
    for call in (lambda: store.put(b"content"), lambda: store.get("0" * 64, LIMIT)):
        with pytest.raises(StoreError, match=f"must be (read|writ)able, got: {error.__name__}"):
            call()
    monkeypatch.setattr("fsspec.core.url_to_fs", fail)
    with pytest.raises(StoreError, match="a path or an fsspec URL"):
        FolderStore("s3://bucket/prefix")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nosuch://bucket/x", "a path or an fsspec URL"),
        ("s3://key:hunter2@bucket/x", "must hold no credentials"),
    ],
)
def test_bad_addresses_are_refused(url: str, message: str) -> None:
    """An unknown file system is named; a password in a URL is refused, and not repeated."""
    with pytest.raises(StoreError, match=message) as caught:
        FolderStore(url)
    assert "hunter2" not in str(caught.value)


def test_an_artifact_round_trips(store: BlobStore) -> None:
    """A saved artifact is found by the hash of its manifest and loads."""
    sha256 = save_artifact(store, tiny_files())

    assert sha256 == sha256_of(tiny_files()["manifest.json"])
    assert load_artifact(store, sha256, LIMIT) == tiny_files()
    assert unpack(load_artifact(store, sha256, LIMIT), sha256, version=3).version == 3


def test_the_manifest_is_stored_last() -> None:
    """A reader that finds the manifest finds every file it names."""
    store = InMemoryBlobStore()
    save_artifact(store, tiny_files())

    assert list(store.blobs)[-1] == sha256_of(tiny_files()["manifest.json"])


def test_a_store_without_a_file_of_the_artifact() -> None:
    """A pruned store is an error, not a model without templates."""
    store = InMemoryBlobStore()
    sha256 = save_artifact(store, tiny_files())
    del store.blobs[sha256_of(tiny_files()["templates.json"])]

    with pytest.raises(StoreError, match="got none"):
        load_artifact(store, sha256, LIMIT)


def test_the_limit_is_for_the_whole_artifact() -> None:
    """What the manifest says of sizes is added up before any file is fetched."""
    store = InMemoryBlobStore()
    sha256 = save_artifact(store, tiny_files())
    size = sum(map(len, tiny_files().values()))
    fetched: list[str] = []

    class Counting:
        """Notes what is fetched."""

        url = store.url
        put = store.put

        def get(self, sha256: str, max_bytes: int) -> bytes:
            fetched.append(sha256)
            return store.get(sha256, max_bytes)

    with pytest.raises(ArtifactError, match=f"at most {size - 1} bytes, got {size}"):
        load_artifact(Counting(), sha256, size - 1)
    assert fetched == [sha256]


def test_a_manifest_cannot_make_the_reader_fetch_elsewhere() -> None:
    """File hashes in a manifest are hashes, never paths; sizes are never negative."""
    for entry in ({"sha256": "../../secret", "bytes": 5}, {"sha256": "0" * 64, "bytes": -5}):
        manifest = json.loads(tiny_files()["manifest.json"])
        manifest["files"]["templates.json"] = entry
        store = InMemoryBlobStore()
        store.put(tiny_files()["model.safetensors"])
        sha256 = store.put(json.dumps(manifest).encode())

        with pytest.raises((StoreError, ArtifactError), match=r"64 hexadecimal digits|must be at most"):
            load_artifact(store, sha256, LIMIT)


@pytest.mark.parametrize(
    "alter",
    [
        lambda files: {name: files[name] for name in ("manifest.json", "templates.json")},
        lambda files: files | {"more": b""},
        lambda files: files | {"templates.json": b"{}"},
        lambda files: {"templates.json": files["templates.json"]},
    ],
    ids=["missing", "extra", "altered", "no manifest"],
)
def test_only_what_the_manifest_names_is_saved(alter: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
    """An artifact that would not load is not stored at all."""
    store = InMemoryBlobStore()
    with pytest.raises(ArtifactError, match="artifact must hold"):
        save_artifact(store, alter(dict(tiny_files())))
    assert store.blobs == {}
