"""The Dockerfile, as far as it can be tried without a container engine."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import ROOT

UV = Path(sys.executable).with_name("uv")
PACKAGES = ("agent", "broker", "detector", "fusionlog", "loggen", "schemas", "testkit", "trainer")
TARGETS = ("agent", "trainer")


def stages() -> dict[str, str]:
    """Name of each stage of the Dockerfile → its parent and its instructions, a line each."""
    text = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    return {
        name: f"FROM {parent}\n{body}"
        for parent, name, body in re.findall(r"^FROM (\S+) AS (\S+)\n((?:(?!FROM).*\n?)*)", text, re.MULTILINE)
    }


STAGES = stages()


def copied_into_build(*names: str) -> list[str]:
    """What stages copy out of the repository."""
    lines = [line for name in names or STAGES for line in re.findall(r"^COPY ([^-].+)$", STAGES[name], re.MULTILINE)]
    return [name for line in lines for name in line.split()[:-1]]


def test_the_image_holds_all_of_our_code(tmp_path: Path) -> None:
    """What the Dockerfile copies builds, with its own command, a wheel with every module and data file."""
    for name in copied_into_build("tools", "wheel"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    command = ["build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", f"{tmp_path}/dist"]
    assert " ".join(command[:3]) in STAGES["wheel"]
    done = subprocess.run([UV, *command], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
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


def test_nothing_that_the_build_copies_is_ignored() -> None:
    """The list in .dockerignore lets through what the Dockerfile copies, and only that."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == set(copied_into_build())


@pytest.mark.parametrize(("stage", "package"), [("tools", "uv"), ("wheel", "setuptools")])
def test_build_tools_come_from_the_lock_with_their_hashes(stage: str, package: str, tmp_path: Path) -> None:
    """The awk line of the Dockerfile cuts exactly one package with its hashes out of the lock."""
    (program,) = re.findall(rf"awk '(/\^{package}==/[^']+)' requirements\.lock", STAGES[stage])
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


@pytest.mark.parametrize("target", TARGETS)
def test_each_image_has_the_packages_of_its_own_extra(target: str) -> None:
    """A target holds one environment: the locked packages of its extra, without the other's, and our wheel."""
    packages = STAGES[f"packages-{target}"]
    assert STAGES[target].startswith("FROM runtime\n")
    assert re.findall(r"^COPY (.+)$", STAGES[target], re.MULTILINE) == [
        f"--from=packages-{target} /opt/fusionlog /opt/fusionlog"
    ]
    assert re.findall(r"--extra (\S+)", packages) == [target]
    assert "--require-hashes" in packages
    assert "--constraint requirements.lock" in packages
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    assert target in extras


@pytest.mark.parametrize("target", TARGETS)
def test_each_extra_can_be_installed_from_the_lock(target: str, tmp_path: Path) -> None:
    """Every package that an image installs is in the lock, and none that only the other one needs comes with it."""
    python = tmp_path / "bin/python"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, tmp_path], check=True, timeout=60)
    (arguments,) = re.findall(r"uv (pip install .+--extra \w+)", STAGES[f"packages-{target}"])
    command = [UV, *arguments.replace("/opt/fusionlog/bin/python", str(python)).split(), "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    installed = set(re.findall(r"^ \+ (\S+)==", done.stderr, re.MULTILINE))
    only = {"agent": {"faust-streaming", "aiokafka"}, "trainer": {"ray", "gensim", "pymilvus", "openai"}}
    assert {"torch", "confluent-kafka"} | only[target] <= installed
    assert not installed & set().union(*only.values()) - only[target]


def test_compose_builds_both_targets() -> None:
    """Trainings run in the trainer's image, everything else of ours in the agent's."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    built = {name: (one["build"]["target"], one["image"]) for name, one in services.items() if "build" in one}
    for name, (target, image) in built.items():
        assert target == ("trainer" if name == "trainer" else "agent")
        assert image == f"fusionlog-{target}:0.1.0"
    assert set(services) - set(built) == {"kafka"}


def test_the_image_does_not_run_as_root() -> None:
    """The last user is the number that the chart runs its pods as."""
    assert re.findall(r"^USER (\S+)$", STAGES["runtime"], re.MULTILINE)[-1] == "10001:10001"
    values = (ROOT / "deploy/helm/fusionlog/values.yaml").read_text(encoding="utf-8")
    assert "runAsUser: 10001" in values
