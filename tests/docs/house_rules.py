"""The rules of the house that a program can check: sizes of folders, files and functions, and words."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.docs.citations import ROOT, tracked_files

MAX_FILES = 15
MAX_LINES = 300
MAX_FUNCTION_LINES = 60
REASON = "# Long:"
"""How the comment begins that says why a function is long; it stands directly above it or is its first comment."""

# With hyphens, so that this file does not hold the words itself.
FORBIDDEN_WORDS = tuple("cr-ew giv-er seldom-er wo-nt chat-ter made-_up signs-_of_life".replace("-", "").split())
_FORBIDDEN = re.compile(rf"\b({'|'.join(FORBIDDEN_WORDS)})\b", re.IGNORECASE)


def python_files(*, with_tests: bool) -> dict[str, str]:
    """Path from the root → text, of every Python file of the repository."""
    names = {path.relative_to(ROOT).as_posix(): path for path in tracked_files() if path.suffix == ".py"}
    return {
        name: path.read_text(encoding="utf-8")
        for name, path in names.items()
        if with_tests or not name.startswith("tests/")
    }


def crowded_folders(names: Iterable[str]) -> list[str]:
    """Folders with too many files, `__init__.py` not counted."""
    counts = Counter(str(Path(name).parent) for name in names if Path(name).name != "__init__.py")
    return [f"{folder}/: {count} files" for folder, count in sorted(counts.items()) if count > MAX_FILES]


def long_files(files: Mapping[str, str]) -> list[str]:
    """Files with too many lines."""
    lengths = {name: len(text.splitlines()) for name, text in files.items()}
    return [f"{name}: {lines} lines" for name, lines in sorted(lengths.items()) if lines > MAX_LINES]


def long_functions(files: Mapping[str, str]) -> list[str]:
    """Functions that are too long and have no comment that says why."""
    return [
        f"{name}:{node.lineno}: {node.name} has {_length(node)} lines and no '{REASON}' comment"
        for name, text in sorted(files.items())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _length(node) > MAX_FUNCTION_LINES
        and not _has_reason(node, text.splitlines())
    ]


def forbidden_words(files: Mapping[str, str]) -> list[str]:
    """Places of words that the glossary replaces."""
    return [
        f"{name}:{number}: {found[0]}"
        for name, text in sorted(files.items())
        for number, line in enumerate(text.splitlines(), start=1)
        for found in _FORBIDDEN.finditer(line)
    ]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def _has_reason(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> bool:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    above = first - 1
    while above > 0 and lines[above - 1].strip().startswith("#"):
        above -= 1
    has_docstring = ast.get_docstring(node) is not None
    statement = node.body[1] if has_docstring and len(node.body) > 1 else node.body[0]
    beside = [*lines[above : first - 1], *lines[node.lineno - 1 : statement.lineno - 1]]
    return any(line.strip().startswith(REASON) for line in beside)
