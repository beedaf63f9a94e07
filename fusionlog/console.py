"""What the commands print: results on standard output, everything for people on standard error."""

import json
import logging
import sys
from typing import Any

import structlog


def fail(message: str, code: int) -> int:
    """Print one line on standard error; the code, for the caller to exit with."""
    print(f"fusionlog: {message}", file=sys.stderr)
    return code


def emit_json(document: Any) -> None:
    """Print a document as one line of JSON on standard output."""
    print(json.dumps(document, sort_keys=False, default=str), flush=True)


def emit(line: str = "") -> None:
    """Print a line of a result on standard output."""
    print(line, flush=True)


def configure_logs(style: str = "auto", level: str = "info") -> None:
    """Set up structlog on standard error: coloured lines on a terminal, JSON elsewhere.

    Args:
        style: `auto`, `json` or `console`.
        level: `debug`, `info`, `warning` or `error`.
    """
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    threshold = getattr(logging, level.upper())
    renderer: Any = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries log through the standard library: only what needs attention, through the same renderer.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=processors))
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)
