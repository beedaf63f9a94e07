"""The same lines and seed give the same weights, whatever things are called and whatever searches the neighbors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detector.artifact.folder import read_folder
from detector.artifact.tensors import WEIGHTS
from tests.trainer.tiny_run import in_process, tiny_settings
from trainer.context import TrainingContext
from trainer.recipe import train
from trainer.report import TrainingReport
from trainer.settings import TrainerSettings
from trainer.workers.local import Workers, local_workers

pytestmark = pytest.mark.ray


def _settings(folder: Path, **changes: Any) -> TrainerSettings:
    folder.mkdir(parents=True, exist_ok=True)
    return tiny_settings(folder, **{"final_steps": 20, **changes})


def _renamed(settings: TrainerSettings, folder: Path) -> TrainerSettings:
    """The same lines in files of other names, of systems of other names, with other folders for all that is written."""
    folder.mkdir(parents=True)
    changes: dict[str, Any] = {"work_dir": folder / "zz-work", "out": folder / "zz-out"}
    for role, name in (("source", "aa-older"), ("target", "zz.other-name")):
        given = getattr(settings, role)
        path = Path(given.path).rename(folder / f"{name}.log")
        spec = given.spec.model_copy(update={"name": name.replace(".", "-")})
        changes[role] = given.model_copy(update={"path": str(path), "spec": spec})
    return settings.model_copy(update=changes)


def _weights(report: TrainingReport) -> bytes:
    assert report.out is not None
    return read_folder(report.out)[WEIGHTS]


def _with_exact_search(context: TrainingContext, _settings: TrainerSettings) -> Workers:
    return local_workers(replace(context, milvus=None))


def test_names_of_files_folders_and_systems_change_no_weight(tmp_path: Path) -> None:
    """Names stand in window ids, in the ledger's folder and in the artifact, and in nothing that the model learns."""
    settings = _settings(tmp_path / "one")
    first = train(settings, make_workers=in_process)
    second = train(_renamed(settings, tmp_path / "two"), make_workers=in_process)
    assert (first.system, second.system) == ("shop", "zz-other-name")
    assert _weights(first) == _weights(second)


def test_milvus_and_exact_search_give_the_same_weights(tmp_path: Path) -> None:
    """Both rank neighbors alike, so a machine where Milvus does not work trains the same model."""
    budget = {"budget": 30}  # less than all groups, so that neighbors choose what is asked
    first = train(_settings(tmp_path / "one", **budget), make_workers=in_process)
    second = train(_settings(tmp_path / "two", **budget), make_workers=_with_exact_search)
    assert (first.retrieval, second.retrieval) == ("milvus", "exact")
    assert _weights(first) == _weights(second)
