"""Golden lines: a release that masks or matches in another way refuses the model, and no user's line is in it."""

import json

import pytest

from detector.artifact.export import read_manifest, unpack
from detector.artifact.golden import MAX_TEMPLATES, SHIPPED_LINES, synthetic_line
from detector.artifact.tensors import MANIFEST
from detector.errors import ArtifactError
from detector.parsing import masking
from detector.parsing.masking import Masker
from detector.system import MaskRule
from detector.testing import ANOMALOUS_LINES, NORMAL_LINES, SYSTEM, tiny_files


def changed(**fields: object) -> dict[str, bytes]:
    """The tiny model's files with other fields in the manifest."""
    files = tiny_files()
    return files | {MANIFEST: json.dumps(json.loads(files[MANIFEST]) | fields).encode()}


def test_the_shipped_lines_use_every_built_in_mask() -> None:
    """Each alternative of the fused pattern, and the mask of long tokens, is what decides in some shipped line."""
    used = {
        found.lastindex
        for line in SHIPPED_LINES
        for token in line.split()
        for found in masking._FUSED.finditer(token)
        if found.lastindex is not None
    }
    assert used == set(range(1, len(masking._MASKS) + 1))
    assert any("<LONG>" in Masker().mask(line) for line in SHIPPED_LINES)


@pytest.mark.parametrize("index", range(len(masking._MASKS)), ids=lambda index: f"{index}-{masking._MASKS[index][0]}")
def test_a_release_with_another_mask_refuses_the_model(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever built-in mask changes, the model is refused with what to do, and serves again with the old mask."""
    files = tiny_files()
    names = list(masking._NAMES)
    names[index] = "<OTHER>"
    with monkeypatch.context() as other_release:
        other_release.setattr(masking, "_NAMES", tuple(names))
        with pytest.raises(ArtifactError, match=r"golden line \d+ must be of template .*: this release masks"):
            unpack(files)
    unpack(files)


def test_golden_lines_are_made_of_templates_and_hold_no_line_of_the_user() -> None:
    """Each template comes back from its synthetic line; what was trained on is in none of them."""
    manifest, model = read_manifest(tiny_files()[MANIFEST]), unpack(tiny_files())
    ids = {one.line: one.template_id for one in manifest.golden_lines}
    assert set(SHIPPED_LINES) < set(ids)
    assert {ids[synthetic_line(info.text)] for info in model.templates} == {info.id for info in model.templates}
    varying = [line for line in (*NORMAL_LINES, *ANOMALOUS_LINES) if any(mark.isdigit() for mark in line)]
    assert varying
    assert not any(line in golden for line in varying for golden in ids)


def test_a_line_that_parses_to_another_template_is_refused() -> None:
    """A manifest whose golden line has another template's id is not loaded."""
    golden = [{"line": "order=1 received", "template_id": "0" * 16}]
    with pytest.raises(ArtifactError, match="golden line 0 must be of template 0000000000000000, got"):
        unpack(changed(golden_lines=golden))


def test_a_model_of_the_first_release_has_no_golden_lines_and_loads() -> None:
    """Manifests without golden lines are read as before, with the first release's fingerprint too."""
    old = changed(golden_lines=[], schema_version="1.0", spec_fingerprint=SYSTEM._first_fingerprint())
    assert unpack(old).name == SYSTEM.name


def test_masks_of_the_system_are_in_the_golden_lines() -> None:
    """A system's own mask stays as it is in a synthetic line, and applies to the shipped ones."""
    spec = SYSTEM.model_copy(update={"masks": (MaskRule(name="GATEWAY", pattern="gateway"),)})
    manifest = read_manifest(tiny_files(spec)[MANIFEST])
    assert any("<GATEWAY>" in one.line for one in manifest.golden_lines)
    unpack(tiny_files(spec))


def test_golden_lines_are_bounded() -> None:
    """A model of many templates takes lines of some of them, spread over all."""
    manifest = read_manifest(
        tiny_files(normal=tuple(f"step {chr(97 + one // 26)}{chr(97 + one % 26)}" for one in range(300)), steps=0)[
            MANIFEST
        ]
    )
    assert len(SHIPPED_LINES) < len(manifest.golden_lines) <= len(SHIPPED_LINES) + MAX_TEMPLATES
