"""Exit codes, and which error means which.

0 is ok, 1 is failed (the input, the broker or the work), 2 is misuse (an option or a setting is wrong).
"""

from pydantic import ValidationError
from typer.exceptions import TyperException

from agent.errors import AgentError
from broker.errors import BrokerError, SettingsError
from detector.errors import DetectorError, SpecError
from schemas.errors import RecordError
from trainer.errors import TrainerError

OK, FAILED, MISUSE = 0, 1, 2


def exit_code_of(error: Exception) -> int | None:
    """The exit code that an error stands for, or None when the error is a fault in fusionlog itself."""
    if isinstance(error, SettingsError | SpecError):
        return MISUSE
    if isinstance(error, DetectorError | BrokerError | TrainerError | AgentError | RecordError | OSError):
        return FAILED
    return None


def message_of(error: Exception) -> str:
    """An error as one line, with where to look up the right words when it was the command line that was wrong."""
    text = error.format_message() if isinstance(error, TyperException) else str(error)
    if isinstance(error.__cause__, ValidationError):  # Typer says what is allowed, but not what it got
        text += f", got {error.__cause__.errors()[0]['input']!r}"
    line = " ".join(text.split()) or type(error).__name__
    context = getattr(error, "ctx", None)
    return f"{line} (see '{context.command_path} --help')" if context is not None else line
