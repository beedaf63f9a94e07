"""Which error ends the program with which exit code."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import agent
import broker
import detector
import fusionlog
import schemas
import trainer
from broker.errors import SettingsError
from fusionlog.errors import MissingExtra
from fusionlog.exits import FAILED, MISUSE, exit_code_of

PACKAGES = (agent, broker, detector, fusionlog, schemas, trainer)


def error_classes() -> Iterator[type[Exception]]:
    """Every class of every `errors.py` of the packages that commands run."""
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith(".errors"):
                module = importlib.import_module(found.name)
                for _, kind in inspect.getmembers(module, inspect.isclass):
                    if kind.__module__ == found.name and issubclass(kind, Exception):
                        yield kind


def test_the_walk_finds_the_errors_of_every_package() -> None:
    """Each package has its `errors.py`, so the next test looks at all of them."""
    assert {kind.__module__.partition(".")[0] for kind in error_classes()} == {one.__name__ for one in PACKAGES}


@pytest.mark.parametrize("kind", list(error_classes()), ids=lambda kind: kind.__qualname__)
def test_every_error_has_an_exit_code(kind: type[Exception]) -> None:
    """An error raised on purpose never ends as a traceback: it is misuse (2) or a failure (1)."""
    error = kind.__new__(kind)
    assert exit_code_of(error) == (MISUSE if isinstance(error, SettingsError | MissingExtra) else FAILED)


@pytest.mark.parametrize("error", [ValueError(), KeyError(), AssertionError(), RuntimeError()])
def test_a_bug_has_no_exit_code(error: Exception) -> None:
    """What nobody raised on purpose keeps its traceback."""
    assert exit_code_of(error) is None
