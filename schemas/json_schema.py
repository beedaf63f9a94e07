"""JSON Schema of each record, for readers in other languages: `python -m schemas.json_schema` writes `schemas/json`."""

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from schemas.alert import Alert
from schemas.closed_window import ClosedWindow
from schemas.codec import Record
from schemas.late_line import LateLine
from schemas.model_record import ModelAlias, ModelPointer, ModelStatus
from schemas.template_record import TemplateRecord

FOLDER = Path(__file__).parent / "json"
KINDS: dict[str, type[Record]] = {
    "alert": Alert,
    "closed-window": ClosedWindow,
    "late-line": LateLine,
    "model-alias": ModelAlias,
    "model-pointer": ModelPointer,
    "model-status": ModelStatus,
    "template": TemplateRecord,
}


def documents() -> dict[str, dict[str, Any]]:
    """JSON Schema documents by file name; unknown fields stay allowed, as readers ignore them."""
    return {f"{name}-{kind.MAJOR}-0-0.json": _dedented(msgspec.json.schema(kind)) for name, kind in KINDS.items()}


def _dedented(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with descriptions as Python 3.13 keeps docstrings; older ones leave the source's indentation in."""
    for definition in schema.get("$defs", {}).values():
        if "description" in definition:
            definition["description"] = inspect.cleandoc(definition["description"])
    return schema


def main() -> None:
    """Write the documents."""
    FOLDER.mkdir(exist_ok=True)
    for name, document in documents().items():
        (FOLDER / name).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
