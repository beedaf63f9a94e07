import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.codec import decode, encode
from schemas.json_schema import FOLDER, KINDS, documents

GOLDEN = Path(__file__).resolve().parents[2] / "schemas" / "golden"


def _holds(found: Any, frozen: Any) -> bool:
    """Whether all of a frozen value is in a found one, which may have more fields."""
    if isinstance(frozen, dict):
        return isinstance(found, dict) and all(
            name in found and _holds(found[name], value) for name, value in frozen.items()
        )
    if isinstance(frozen, list):
        return isinstance(found, list) and len(found) == len(frozen) and all(map(_holds, found, frozen))
    return bool(found == frozen)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_frozen_message_of_every_version_still_reads(path: Path) -> None:
    """Old messages stay on topics forever: today's code reads them, and loses no field."""
    kind = KINDS[path.stem.rpartition("-")[0]]
    record = decode(path.read_bytes(), kind)
    assert _holds(json.loads(encode(record)), json.loads(path.read_text()))


@pytest.mark.parametrize("name", KINDS)
def test_every_record_has_a_frozen_message(name: str) -> None:
    """A new record comes with its first frozen message."""
    assert list(GOLDEN.glob(f"{name}-[0-9]*.json"))


def test_published_json_schemas_are_current() -> None:
    """`python -m schemas.json_schema` was run after the last change of a record."""
    published = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    assert published == json.loads(msgspec.json.encode(documents()))
