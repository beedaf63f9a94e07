"""What is in a fingerprint, and what must raise a version: built-in masks, layouts, defaults."""

import hashlib
import json
import re
from typing import Any

import pytest
from pydantic import BaseModel, Field

from detector.input import layouts
from detector.parsing import PARSING_VERSION, masking
from detector.parsing.templates import WILDCARD
from detector.system import MaskRule, SystemSpec, WindowSpec
from detector.windowing import WINDOWING_VERSION

LINE_DEFAULTS: dict[int, dict[str, Any]] = {
    1: {
        "format": "auto",
        "layout": "plain",
        "line_pattern": None,
        "time_format": None,
        "message_fields": ("message", "log", "MESSAGE", "msg"),
        "time_fields": ("@timestamp", "timestamp", "time", "ts"),
        "key_field": None,
        "key_pattern": None,
        "masks": (),
        "max_line_bytes": 8_192,
        "max_tokens": 256,
    }
}
WINDOW_DEFAULTS: dict[int, dict[str, Any]] = {
    1: {"kind": "session", "idle_seconds": 21_600.0, "size_seconds": 60.0, "max_lines": 512}
}
MASKS = {1: "073404c34186df30"}
LAYOUTS = {1: "21c9d4d25db1b506"}
NOT_HASHED = {"name", "window", "max_record_bytes"}
WINDOW_NOT_HASHED = {"lateness_seconds", "max_future_seconds"}

RAISE = (
    "{what} changed, so lines or windows are no longer those that models were trained on: raise {version} "
    "({folder}/__init__.py), pin the new value here under it, and say in CHANGELOG that models are trained again"
)
PARSING = {"version": "PARSING_VERSION", "folder": "detector/parsing"}
WINDOWING = {"version": "WINDOWING_VERSION", "folder": "detector/windowing"}


def digest(value: Any) -> str:
    """Short hash of something JSON can hold."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def defaults(model: type[BaseModel], names: set[str]) -> dict[str, Any]:
    """Default of each field."""
    return {name: model.model_fields[name].default for name in names}


def mask_digest() -> str:
    """Hash of everything that the built-in masks are made of."""
    constants = (masking.TOKEN_CHARACTERS, WILDCARD, masking._REPEATED.pattern, masking._PLAIN.pattern)
    return digest([masking._MASKS, constants, masking._FUSED.flags])


def layout_digest() -> str:
    """Hash of every pattern in the module of layouts."""
    patterns = {name: value for name, value in vars(layouts).items() if isinstance(value, re.Pattern)}
    return digest([(name, patterns[name].pattern, patterns[name].flags) for name in sorted(patterns)])


def test_built_in_masks_and_layouts_are_those_of_the_version() -> None:
    """A changed mask or layout pattern comes with another PARSING_VERSION."""
    assert mask_digest() == MASKS.get(PARSING_VERSION), RAISE.format(what="a built-in mask", **PARSING)
    assert layout_digest() == LAYOUTS.get(PARSING_VERSION), RAISE.format(what="a layout's pattern", **PARSING)


def test_defaults_are_those_of_the_version() -> None:
    """A changed default comes with another version; a new setting is only pinned, under the same version."""
    pinned, window = LINE_DEFAULTS.get(PARSING_VERSION, {}), WINDOW_DEFAULTS.get(WINDOWING_VERSION, {})
    assert defaults(SystemSpec, set(pinned)) == pinned, RAISE.format(what="a default", **PARSING)
    assert defaults(WindowSpec, set(window)) == window, RAISE.format(what="a default", **WINDOWING)
    unpinned = SystemSpec.model_fields.keys() - pinned.keys() - NOT_HASHED
    unpinned |= WindowSpec.model_fields.keys() - window.keys() - WINDOW_NOT_HASHED
    assert not unpinned, f"pin the defaults of the new settings {unpinned} here; no version has to be raised for them"


def test_a_changed_mask_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pins above see a mask, a layout's pattern and a default that change."""
    before = mask_digest(), layout_digest()
    monkeypatch.setattr(masking, "_MASKS", (*masking._MASKS, ("MONEY", r"€\d+")))
    monkeypatch.setattr(layouts, "_BLOCK", re.compile(r"block_\d+"))
    assert mask_digest() != before[0]
    assert layout_digest() != before[1]


class WindowWithOneMore(WindowSpec):
    """A later release's window settings, with a new optional one."""

    overlap: int = 0


class WithOneMore(SystemSpec):
    """A later release's settings, with a new optional one."""

    language: str = Field(default="en")
    window: WindowWithOneMore = WindowWithOneMore()


SPECS = [
    SystemSpec(name="orders"),
    SystemSpec(name="bgl", layout="loghub-bgl", window=WindowSpec(kind="tumbling", size_seconds=60)),
    SystemSpec(name="s", masks=(MaskRule(name="RACK", pattern="r1"),), window=WindowSpec(lateness_seconds=3)),
]
FIRST = ["9b8068a46ef32905", "8d4d3f03a280c7d4", "90aa0547ebcdd72b"]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_new_optional_setting_changes_no_fingerprint(spec: SystemSpec) -> None:
    """A release that adds a setting accepts models and state from before, until the setting is used."""
    given = spec.model_dump()
    window = WindowWithOneMore(**given.pop("window"))
    later = WithOneMore(**given, window=window)
    used = WithOneMore(**given, window=window, language="de")
    overlapping = WithOneMore(**given, window=window.model_copy(update={"overlap": 1}))
    assert later.fingerprint() == spec.fingerprint()
    assert later.accepts(spec.fingerprint())
    assert len({later.fingerprint(), used.fingerprint(), overlapping.fingerprint()}) == 3
    assert not used.accepts(spec.fingerprint())


@pytest.mark.parametrize(("spec", "first"), list(zip(SPECS, FIRST, strict=True)), ids=[spec.name for spec in SPECS])
def test_models_and_state_of_the_first_release_are_accepted(
    spec: SystemSpec, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first release hashed defaults, too; its fingerprint holds as long as parsing and windowing are its own."""
    assert spec.accepts(first)
    later = WithOneMore(**spec.model_dump())
    assert later.accepts(first)
    assert not WithOneMore(**spec.model_dump(), language="de").accepts(first)
    assert not spec.model_copy(update={"max_tokens": 99}).accepts(first)
    monkeypatch.setattr("detector.system.PARSING_VERSION", 2)
    assert not spec.accepts(first)


@pytest.mark.parametrize("name", ["detector.system.PARSING_VERSION", "detector.system.WINDOWING_VERSION"])
def test_a_raised_version_changes_every_fingerprint(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models and state of another version are refused."""
    before = SPECS[0].fingerprint()
    monkeypatch.setattr(name, 2)
    assert SPECS[0].fingerprint() != before
    assert not SPECS[0].accepts(before)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"name": "other"}, True),
        ({"max_record_bytes": 2_000}, True),
        ({"window": WindowSpec(lateness_seconds=3, max_future_seconds=9)}, True),
        ({"window": WindowSpec(idle_seconds=21_600.0)}, True),
        ({"window": WindowSpec(idle_seconds=60)}, False),
        ({"format": "raw"}, False),
        ({"masks": (MaskRule(name="RACK", pattern="r1"),)}, False),
        ({"max_tokens": 99}, False),
    ],
)
def test_only_what_changes_lines_or_windows_is_hashed(changes: dict[str, Any], same: bool) -> None:
    """Name, limits that drop nothing and lateness are not in the fingerprint; the rest is."""
    assert (SPECS[0].model_copy(update=changes).fingerprint() == SPECS[0].fingerprint()) is same
