"""`fusionlog version`."""

from importlib.metadata import version as installed_version

from fusionlog.console import emit


def version() -> None:
    """Print the version.

    Example: fusionlog version
    """
    emit(installed_version("fusionlog"))
