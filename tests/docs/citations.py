"""Finds where code and pages name a page, and whether that page is in the repository."""

import ast
import re
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".tpl", ".txt", ".go", ".xml"}
_NAMES = {"Makefile", "run", "Dockerfile"}

_PAGE = re.compile(r"(?<![\w./<>{}*-])(?P<path>(?:\.\./)*(?:[\w-]+/)*[\w-]+\.md)(?:#(?P<heading>[\w-]+))?\b")
_DESIGN = re.compile(r"\bdesign\s+`[^`]*`|shared/design")
_URL = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class Citation:
    """A place that names a page.

    Attributes:
        file: path of the file from the root of the repository.
        line: number of the line, from 1.
        page: what is named.
        heading: name of a section behind `#`, or "".
    """

    file: str
    line: int
    page: str
    heading: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.page}{'#' + self.heading if self.heading else ''}"


def tracked_files(root: Path = ROOT) -> list[Path]:
    """Text files of the repository that may name a page, those that are new and not ignored included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.splitlines()
    paths = [root / name for name in sorted(set(names))]
    return [path for path in paths if path.is_file() and (path.suffix in _SUFFIXES or path.name in _NAMES)]


def citations(file: str, text: str) -> list[Citation]:
    """Every page that a file names; in Python, in comments, docstrings and strings that begin with `docs/`."""
    if file.endswith(".py"):
        # A test may write about pages that only its temporary folder has.
        lines = _python_prose(text, with_strings=not file.startswith("tests/"))
    else:
        lines = iter(enumerate(text.splitlines(), start=1))
    found = []
    for number, line in lines:
        prose = _URL.sub("", line)
        found += [Citation(file, number, match[0]) for match in _DESIGN.finditer(prose)]
        found += [
            Citation(file, number, match["path"], match["heading"] or "")
            for match in _PAGE.finditer(_DESIGN.sub("", prose))
        ]
    return found


def is_in_repository(citation: Citation, root: Path = ROOT) -> bool:
    """Whether the page is there; a page (`.md`) may also name other pages of its own folder."""
    places = [root / citation.page]
    if citation.file.endswith(".md"):
        places.append(root / Path(citation.file).parent / citation.page)
    pages = [place for place in places if place.is_file() and place.resolve().is_relative_to(root)]
    if not pages:
        return False
    return not citation.heading or citation.heading in _headings(pages[0].read_text(encoding="utf-8"))


def _headings(page: str) -> set[str]:
    """Names of a page's sections as a link spells them: lower case, spaces as hyphens."""
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def _python_prose(text: str, *, with_strings: bool) -> Iterator[tuple[int, str]]:
    """Lines of comments and docstrings, and of strings that name a page under `docs/`."""
    for token in tokenize.generate_tokens(StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from enumerate(node.value.value.splitlines(), start=node.lineno)
        elif with_strings and isinstance(node, ast.Constant) and str(node.value).startswith("docs/"):
            yield node.lineno, str(node.value)
