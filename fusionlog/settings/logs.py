"""Logging: structlog formats our own log lines and those of the libraries, on standard error."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Literal

import structlog

LogLevel = Literal["debug", "info", "warning", "error"]

_NOISY = ("faust", "mode", "aiokafka", "kafka", "asyncio", "fsspec", "torch")
_REMEMBERED = 1_000


class OncePerWhile(logging.Filter):
    """Drops a library's message that was passed less than ten seconds ago: aiokafka repeats them without a broker."""

    def __init__(self, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._passed_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown; our own records always are."""
        if not record.name.startswith(_NOISY):
            return True
        key = (record.name, str(record.msg))
        now = self._clock()
        if now - self._passed_at.get(key, -self._seconds) < self._seconds:
            return False
        if len(self._passed_at) >= _REMEMBERED:
            self._passed_at.clear()
        self._passed_at[key] = now
        return True


def configure_logs(style: Literal["auto", "json", "console"] = "auto", level: LogLevel = "info") -> None:
    """Set up structlog and the standard library's root logger, once per process; `auto` is `console` on a terminal."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(sort_keys=True)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    handler.addFilter(OncePerWhile())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:  # their "info" logs every step
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared[:-1], structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
