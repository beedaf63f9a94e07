"""Sizes and words hold in the whole repository; each rule is shown to notice what breaks it."""

import textwrap

import pytest

from tests.docs.house_rules import (
    FORBIDDEN_WORDS,
    MAX_FILES,
    MAX_FUNCTION_LINES,
    MAX_LINES,
    crowded_folders,
    forbidden_words,
    long_files,
    long_functions,
    python_files,
)


def test_no_folder_is_crowded() -> None:
    """Outside tests a folder holds at most 15 Python files."""
    assert crowded_folders(python_files(with_tests=False)) == []


def test_no_file_is_long() -> None:
    """Outside tests a Python file has at most 300 lines."""
    assert long_files(python_files(with_tests=False)) == []


def test_a_long_function_says_why() -> None:
    """Outside tests a function of over 60 lines has a comment `# Long: …` above it or as its first comment."""
    assert long_functions(python_files(with_tests=False)) == []


def test_no_word_is_used_that_the_glossary_replaces() -> None:
    """Code and tests use the terms of docs/concepts.md, not the private words that they replaced."""
    assert forbidden_words(python_files(with_tests=True)) == []


def test_a_crowded_folder_is_noticed() -> None:
    """One file above the limit is one too many; `__init__.py` is not counted."""
    names = [f"agent/part_{number}.py" for number in range(MAX_FILES)]
    assert crowded_folders([*names, "agent/__init__.py"]) == []
    assert crowded_folders([*names, "agent/more.py"]) == [f"agent/: {MAX_FILES + 1} files"]


def test_a_long_file_is_noticed() -> None:
    """One line above the limit is one too many."""
    assert long_files({"a.py": "x\n" * MAX_LINES}) == []
    assert long_files({"a.py": "x\n" * (MAX_LINES + 1)}) == [f"a.py: {MAX_LINES + 1} lines"]


@pytest.mark.parametrize(
    ("lines", "above", "inside", "noticed"),
    [
        (MAX_FUNCTION_LINES, "", "", False),
        (MAX_FUNCTION_LINES + 1, "", "", True),
        (MAX_FUNCTION_LINES + 1, "# Long: one table", "", False),
        (MAX_FUNCTION_LINES + 1, "", "# Long: one table", False),
        (MAX_FUNCTION_LINES + 1, "# A comment without the reason", "", True),
    ],
)
def test_a_long_function_without_a_reason_is_noticed(lines: int, above: str, inside: str, noticed: bool) -> None:
    """A function above the limit needs the comment; any other comment does not do."""
    head = f"{above}\n@decorated\ndef work() -> None:\n" + (f"    {inside}\n" if inside else "")
    body = "    x = 1\n" * (lines - 1 - bool(inside))
    assert bool(long_functions({"a.py": head + body})) is noticed


@pytest.mark.parametrize("word", FORBIDDEN_WORDS)
def test_a_forbidden_word_is_noticed(word: str) -> None:
    """Each word is found as a whole word in either case, and not inside another one."""
    text = textwrap.dedent(
        f"""\
        # the {word.upper()}
        un{word}ed = 1
        """
    )
    assert [place.split(":")[1] for place in forbidden_words({"a.py": text})] == ["1"]
