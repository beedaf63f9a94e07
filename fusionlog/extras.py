"""The extras of the installation, and the check that a command's extra is installed."""

import sys
from importlib.util import find_spec

from fusionlog.errors import MissingExtra

MODULES = {
    "agent": ("aiohttp", "aiokafka", "faust", "prometheus_client"),
    "trainer": ("gensim", "milvus_lite", "openai", "pymilvus", "ray", "scipy"),
}
"""Extra → the modules that its packages in pyproject.toml bring; a test compares the two."""


def require_extra(command: str, extra: str) -> None:
    """Check that an extra is installed, without importing anything of it.

    Raises:
        MissingExtra: a module of it is absent.
    """
    if not all(map(_is_installed, MODULES[extra])):
        raise MissingExtra(f"fusionlog {command} needs the extra '{extra}': pip install 'fusionlog[{extra}]'")


def _is_installed(module: str) -> bool:
    if module in sys.modules:  # Faust replaces its module by one without a spec
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except ImportError:
        return False
