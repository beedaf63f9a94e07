"""Output of the commands: results on standard output, messages on standard error."""

import json
import sys
from typing import Any


def fail(message: str, code: int) -> int:
    """Print one line on standard error and return the exit code."""
    print(f"fusionlog: {message}", file=sys.stderr)
    return code


def warn(message: str) -> None:
    """Print one line of warning on standard error."""
    print(f"fusionlog: warning: {message}", file=sys.stderr)


def note(message: str) -> None:
    """Print one line on standard error if that is a terminal."""
    if sys.stderr.isatty():
        print(f"fusionlog: {message}", file=sys.stderr)


def emit_json(document: Any) -> None:
    """Print a document as one line of JSON on standard output."""
    print(json.dumps(document, sort_keys=False, default=str), flush=True)


def emit(line: str = "") -> None:
    """Print a line of a result on standard output."""
    print(line, flush=True)
