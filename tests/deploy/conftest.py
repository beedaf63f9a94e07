"""The rendered chart, through the helm that `make chart` uses."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/fusionlog"
Manifests = list[dict[str, Any]]
Render = Callable[..., Manifests]


@pytest.fixture(scope="session")
def helm() -> str:
    """Path of helm; without it and without Go to build it, tests skip loudly, and fail under CI=true."""
    done = subprocess.run(
        [ROOT / "deploy/tools/go_tool.sh", "helm"], capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode != 0:
        message = f"tests of the Helm chart are left out: {done.stderr[-400:].strip()}"
        if os.environ.get("CI") == "true" or shutil.which("go") is not None:
            pytest.fail(message)
        pytest.skip(message)
    return done.stdout.strip()


@pytest.fixture
def render(helm: str, tmp_path: Path) -> Render:
    """A function from values (a file of `ci/`, then a mapping) to the chart's objects."""

    def render_chart(variant: str | None = None, values: dict[str, Any] | None = None) -> Manifests:
        command = [helm, "template", "release-name", str(CHART), "--namespace", "logs"]
        if variant:
            command += ["-f", str(CHART / f"ci/{variant}-values.yaml")]
        if values:
            (tmp_path / "values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
            command += ["-f", str(tmp_path / "values.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return render_chart
