import os
import subprocess
import sys

import pytest

PACKAGES = ("schemas", "detector", "broker", "agent", "trainer", "loggen", "testkit", "fusionlog", "fusionlog.__main__")


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_reads_no_environment_and_opens_nothing(package):
    """Importing a package works with an empty environment and makes no socket."""
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('a socket at import time')\n"
        "socket.socket.connect = refuse\n"
        f"import {package}\n"
        "print('imported')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert result.stdout == "imported\n", result.stderr


@pytest.mark.parametrize("package", ["torch", "ray", "faust", "openai", "pymilvus", "gensim"])
def test_the_command_line_starts_without_heavy_libraries(package):
    """`fusionlog --help` answers at once: heavy libraries are imported by the command that needs them."""
    code = f"import sys, fusionlog.__main__; print({package!r} in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
