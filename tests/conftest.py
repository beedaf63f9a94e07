"""Fixtures that every package's tests may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real labelled logs; its absence skips loudly, and is a failure under CI=true."""
    if not SHARED_DATA.is_dir():
        message = f"real logs are not at {SHARED_DATA}: tests on real data are left out"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED_DATA
