"""Pages name only files and folders of the repository that are there, and CONTRIBUTING names what it must."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.citations import ROOT, tracked_files

_TOP = "agent|bench|broker|deploy|detector|docs|fusionlog|loggen|schemas|testkit|tests|trainer"
_PATH = re.compile(rf"(?<![\w./<:-])(?:{_TOP})/(?:[\w.-]+/?)*(?![\w*<])")
_FORM = re.compile(r"```python\n(.*?)```", re.DOTALL)
_CHANGES = {
    "A format of a shipper": "detector/input/formats",
    "A kind of window": "detector/windowing/kinds",
    "A labeller": "trainer/labellers.py",
    "A field of the alert": "schemas/alert.py",
    "A metric": "agent/metrics.py",
    "A setting": "agent/settings.py",
    "A command": "fusionlog/__main__.py",
    "A part of the network": "detector/model/network.py",
}


def named_paths(text: str) -> list[str]:
    """Paths below the folders of the repository that a page names; forms in Python and `*` or `<…>` are left out."""
    text = _FORM.sub("", text)
    return [found.rstrip(".") for found in _PATH.findall(text)]


# The change log may name files of the past.
_PAGES = [path for path in tracked_files() if path.suffix == ".md" and path.name != "CHANGELOG.md"]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_named_files_are_there(page: Path) -> None:
    """A page that says which file to open names one that exists."""
    assert [path for path in named_paths(page.read_text(encoding="utf-8")) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("change", "place"), _CHANGES.items())
def test_contributing_names_the_place_of_each_common_change(change: str, place: str) -> None:
    """For each of the eight commonest changes CONTRIBUTING names the file to open and shows its form in code."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    start = text.index(f"**{change}**")
    section = text[start : text.index("\n```\n", start)]
    assert place in section
    assert section.count("\n**") == 0, "the form in code must follow directly"
    assert "```python" in section


def test_forms_in_contributing_are_python() -> None:
    """Each form in code can be parsed."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    forms = _FORM.findall(text)
    assert len(forms) == len(_CHANGES)
    for form in forms:
        ast.parse(form)


def test_a_path_that_is_absent_is_found() -> None:
    """Paths are found in prose, links, code and at the end of a sentence; web addresses and images are none."""
    text = "`agent/nothing.py` and [it](docs/nothing.md); see trainer/nothing/. https://e.org/agent/x r.org/fusionlog:1"
    assert named_paths(text) == ["agent/nothing.py", "docs/nothing.md", "trainer/nothing/"]
