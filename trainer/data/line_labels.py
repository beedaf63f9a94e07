"""Labels in the lines themselves: read from a source's lines, removed from a target's.

Conventions: the first field of BGL's layout (`-` is normal, anything else names an alert), and a field `label` or
`anomalous` of a JSON line.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from detector.system import SystemSpec
from trainer.errors import SourceError

LABEL_FIELDS = ("anomalous", "label")
NORMAL_WORDS = frozenset({"0", "false", "no", "normal", "ok", "-", ""})
ANOMALOUS_WORDS = frozenset({"1", "true", "yes", "anomalous", "anomaly", "abnormal", "fail"})

_BGL_LABEL = re.compile(rb"\s*+(?:(-)\s++|(\S++)\s++(?=\d{9,11} \d{4}\.\d\d\.\d\d(?:\s|$)))")
_BGL_LABEL_TEXT = re.compile(_BGL_LABEL.pattern.decode())
_MARKS = (*(f'"{name}"'.encode() for name in LABEL_FIELDS), b"\\u")


def label_reader(spec: SystemSpec) -> Callable[[bytes | None], bool | None]:
    """The function that reads the label of a source's line; it returns None where there is none."""

    def read(value: bytes | None) -> bool | None:
        if not value:
            return None
        if _is_json(spec, value):
            return _json_label(value)
        found = _BGL_LABEL.match(value) if spec.layout == "loghub-bgl" else None
        return None if found is None else found[1] is None

    return read


def label_remover(spec: SystemSpec) -> Callable[[bytes | None], bytes | None]:
    """The function that removes every label from a target's line.

    Raises:
        SourceError: the system's key is a label field.
    """
    if spec.key_field is not None and spec.key_field.split(".")[0] in LABEL_FIELDS:
        raise SourceError(f"key_field must not be a label ({', '.join(LABEL_FIELDS)}), got {spec.key_field!r}")
    is_bgl = spec.layout == "loghub-bgl"

    def remove(value: bytes | None) -> bytes | None:
        if not value:
            return value
        if _is_json(spec, value):
            return _without_fields(value, spec.message_fields if is_bgl else ())
        found = _BGL_LABEL.match(value) if is_bgl else None
        return value if found is None else value[found.end() :]

    return remove


def label_of(value: Any) -> bool | None:
    """A label as a boolean, 0 or 1, or a word.

    Raises:
        SourceError: the value is none of them.
    """
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in NORMAL_WORDS:
        return False
    if word in ANOMALOUS_WORDS:
        return True
    raise SourceError(f"a label must be 0 or 1, true or false, normal or anomalous, got {str(value)[:100]!r}")


def _is_json(spec: SystemSpec, value: bytes) -> bool:
    return spec.format == "json" or (spec.format == "auto" and value.lstrip().startswith(b"{"))


def _record(value: bytes) -> dict[str, Any] | None:
    """The fields of a JSON line; None where it is no such line, which the line reader reports."""
    try:
        record = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _json_label(value: bytes) -> bool | None:
    record = _record(value) if any(mark in value for mark in _MARKS) else None
    if record is None:
        return None
    labels = [label_of(record[name]) for name in LABEL_FIELDS if name in record]
    known = [label for label in labels if label is not None]
    return any(known) if known else None


def _without_fields(value: bytes, labelled_messages: tuple[str, ...]) -> bytes:
    if not labelled_messages and not any(mark in value for mark in _MARKS):
        return value
    record = _record(value)
    if record is None:
        return value
    kept = {name: held for name, held in record.items() if name not in LABEL_FIELDS}
    for name in labelled_messages:
        found = _BGL_LABEL_TEXT.match(kept[name]) if isinstance(kept.get(name), str) else None
        if found is not None:
            kept[name] = kept[name][found.end() :]
    return msgspec.json.encode(kept)
