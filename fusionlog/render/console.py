"""What the commands print: results on standard output, everything for people on standard error."""

import json
import sys
from typing import Any


def fail(message: str, code: int) -> int:
    """Print one line on standard error; the code, for the caller to exit with."""
    print(f"fusionlog: {message}", file=sys.stderr)
    return code


def warn(message: str) -> None:
    """Print one line of warning on standard error."""
    print(f"fusionlog: warning: {message}", file=sys.stderr)


def note(message: str) -> None:
    """Print one line for the person who waits; nothing where standard error is no terminal."""
    if sys.stderr.isatty():
        print(f"fusionlog: {message}", file=sys.stderr)


def emit_json(document: Any) -> None:
    """Print a document as one line of JSON on standard output."""
    print(json.dumps(document, sort_keys=False, default=str), flush=True)


def emit(line: str = "") -> None:
    """Print a line of a result on standard output."""
    print(line, flush=True)
