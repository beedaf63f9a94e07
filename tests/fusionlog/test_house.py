import os
import subprocess
import sys

import pytest

PACKAGES = ("schemas", "detector", "broker", "agent", "trainer", "loggen", "testkit", "fusionlog", "fusionlog.__main__")


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_reads_no_environment_and_opens_nothing(package: str) -> None:
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
