"""`fusionlog version`."""

from importlib.metadata import version as installed_version

import typer

from fusionlog.render.console import emit


def version() -> None:
    """Print the version.

    Example: fusionlog version
    """
    emit(installed_version("fusionlog"))


def version_and_exit(asked: bool) -> None:
    """The callback of the option --version."""
    if asked:
        version()
        raise typer.Exit
