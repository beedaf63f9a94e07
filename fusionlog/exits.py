"""Exit codes, and the exit code of each error.

0 is ok, 1 is failed (the input, the broker or the work), 2 is misuse (an option or a setting is wrong).
"""

from pydantic import ValidationError
from typer.exceptions import TyperException

from agent.errors import AgentError
from broker.errors import BrokerError, SettingsError
from detector.errors import DetectorError
from fusionlog.errors import DemoError, MissingExtra
from schemas.errors import RecordError
from trainer.errors import TrainerError

OK, FAILED, MISUSE = 0, 1, 2

# The base of each package's error tree; a test walks every `errors.py` and finds a class that is missing here.
_MISUSES = (SettingsError, MissingExtra)
_FAILURES = (AgentError, BrokerError, DemoError, DetectorError, RecordError, TrainerError, OSError)


def exit_code_of(error: Exception) -> int | None:
    """The exit code of an error, or None when the error is a bug in fusionlog."""
    if isinstance(error, _MISUSES):
        return MISUSE
    return FAILED if isinstance(error, _FAILURES) else None


def message_of(error: Exception) -> str:
    """An error as one line; for a wrong command line it ends with the command that shows the help."""
    text = error.format_message() if isinstance(error, TyperException) else str(error)
    if isinstance(error.__cause__, ValidationError):  # Typer's text lacks the value that it got
        text += f", got {error.__cause__.errors()[0]['input']!r}"
    line = " ".join(text.split()) or type(error).__name__
    context = getattr(error, "ctx", None)
    return f"{line} (see '{context.command_path} --help')" if context is not None else line
