"""Code and pages cite only pages that are in the repository."""

from pathlib import Path

import pytest

from tests.docs.citations import ROOT, Citation, citations, is_in_repository, tracked_files


def test_every_cited_page_is_in_the_repository() -> None:
    """A comment, docstring or page that names a page names one that a reader can open."""
    missing = [
        str(citation)
        for path in tracked_files()
        for citation in citations(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
        if not is_in_repository(citation)
    ]
    assert not missing, "cited, but not in the repository:\n" + "\n".join(missing)


@pytest.mark.parametrize(
    ("file", "text", "page"),
    [
        ("a.py", '"""What it does (design `streaming.md`, Windows)."""\n', "design `streaming.md`"),
        ("a.py", "x = 1  # as method.md 5.2 says\n", "method.md"),
        ("a.py", 'PAGE = "docs/nothing.md"\n', "docs/nothing.md"),
        ("a.yaml", "# see docs/nothing.md\n", "docs/nothing.md"),
        ("docs/a.md", "see [there](nothing.md)\n", "nothing.md"),
        ("a.md", "see ../shared/design/method.md\n", "shared/design"),
    ],
)
def test_a_page_that_is_absent_is_noticed(tmp_path: Path, file: str, text: str, page: str) -> None:
    """Each form of a citation is found, with its page."""
    found = citations(file, text)
    assert page in [citation.page for citation in found]
    assert not any(is_in_repository(citation, tmp_path) for citation in found)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.py", 'path = tmp_path / "doc.md"\n'),
        ("a.py", "# see https://example.com/docs/guide.md\n"),
        ("a.md", "The design of a page.\n"),
    ],
)
def test_what_is_no_citation_is_left_alone(file: str, text: str) -> None:
    """A file name in code, a web address and the word design name no page of the repository."""
    assert citations(file, text) == []


def test_a_heading_must_be_on_the_page(tmp_path: Path) -> None:
    """A citation of a section fails when the section was renamed."""
    (tmp_path / "page.md").write_text("# Page\n\n## Position and state\n")
    assert is_in_repository(Citation("a.py", 1, "page.md", "position-and-state"), tmp_path)
    assert not is_in_repository(Citation("a.py", 1, "page.md", "state-and-position"), tmp_path)
