"""The Dockerfile, as far as it can be tried without a container engine."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT

DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
BUILD_STAGE, FINAL_STAGE = (f"FROM {stage}" for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:])
PACKAGES = ("agent", "broker", "detector", "fusionlog", "loggen", "schemas", "testkit", "trainer")


def copied_into_build() -> list[str]:
    """What the build stage copies out of the repository."""
    return [name for line in re.findall(r"^COPY (.+)$", BUILD_STAGE, re.MULTILINE) for name in line.split()[:-1]]


def test_the_image_holds_all_of_our_code(tmp_path):
    """What the Dockerfile copies builds, with its own command, a wheel with every module and data file."""
    for name in copied_into_build():
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    command = ["build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", tmp_path / "dist"]
    assert " ".join(map(str, command[:3])) in BUILD_STAGE
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run([uv, *command], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for pattern in ("*.py", "*.json")
        for path in (ROOT / package).rglob(pattern)
        if "golden" not in path.parts
    }
    assert modules - held == set()


def test_nothing_that_the_build_copies_is_ignored():
    """The list in .dockerignore lets through what the Dockerfile copies, and only that."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == set(copied_into_build())


@pytest.mark.parametrize("package", ["uv", "setuptools"])
def test_build_tools_come_from_the_lock_with_their_hashes(package, tmp_path):
    """The awk line of the Dockerfile cuts exactly one package with its hashes out of the lock."""
    (program,) = re.findall(rf"awk '(/\^{package}==/[^']+)' requirements\.lock", BUILD_STAGE)
    done = subprocess.run(
        ["awk", program, ROOT / "requirements.lock"],  # noqa: S607 (awk is in every base system)
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    first, *rest = done.stdout.splitlines()
    assert first.startswith(f"{package}==")
    assert rest
    assert all(line.strip().startswith("--hash=sha256:") for line in rest)


def test_the_image_does_not_run_as_root():
    """The last user is the number that the chart runs its pods as."""
    assert re.findall(r"^USER (\S+)$", FINAL_STAGE, re.MULTILINE)[-1] == "10001:10001"
    values = (ROOT / "deploy/helm/fusionlog/values.yaml").read_text(encoding="utf-8")
    assert "runAsUser: 10001" in values
