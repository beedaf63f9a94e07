import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from detector.artifact.export import read_manifest
from detector.artifact.folder import read_folder
from detector.artifact.tensors import MANIFEST
from tests.trainer.tiny_run import in_process, tiny_settings
from trainer.labellers import LABELLERS, LabellerRow, Mixture
from trainer.labelling.base import LabellerInputs, Question, SystemProfile
from trainer.labelling.heuristic import HeuristicLabeller
from trainer.labelling.openai_compatible import OpenAILabeller
from trainer.labelling.recorded import RecordedLabeller
from trainer.labelling.rules.evidence import EvidenceModel
from trainer.recipe import train
from trainer.settings import OpenAISettings, TrainerSettings
from trainer.testing import TEXTS, corpus, history, runs_of

TOY = LabellerRow("tests.trainer.toy_labeller:make_length_labeller", budget=150, mixture=Mixture(0.8, 0.0, 0.2))


def test_a_labeller_is_added_by_one_file_and_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings take its name and its budget, a training uses it, and ledger and artifact name it."""
    monkeypatch.setitem(LABELLERS, "length", TOY)
    settings = tiny_settings(tmp_path, labeller="length", rounds=1, final_steps=10)
    assert settings.budget == 150
    report = train(settings, make_workers=in_process)
    answers = [json.loads(line) for line in (tmp_path / "work" / "labels.jsonl").read_text().splitlines()]
    answers = [answer for answer in answers if "prompt_hash" in answer]
    assert {answer["labeller"] for answer in answers} == {"length"}
    assert {answer["label"] for answer in answers} == {"normal", "anomalous"}
    assert report.labeller == "length"
    assert report.counts["answers_asked"] == len(answers)
    assert read_manifest(read_folder(tmp_path / "out")[MANIFEST]).labeller == "length"


def test_settings_know_the_labellers_of_the_table_alone() -> None:
    """A name outside the table is refused with those in it; the JSON schema lists them."""
    with pytest.raises(ValidationError, match="should be 'heuristic', 'openai' or 'recorded'"):
        TrainerSettings.model_validate({"target": {"path": "a"}, "labeller": "length"})
    assert TrainerSettings.model_json_schema()["properties"]["labeller"]["enum"] == list(LABELLERS)


@pytest.mark.parametrize("name", LABELLERS)
def test_every_row_builds_a_labeller(name: str, tmp_path: Path) -> None:
    """The named function exists, and its labellers answer every question under one name."""
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"window": "shop-1", "label": "normal", "confidence": 0.9}\n')
    settings = TrainerSettings.model_validate(
        {"target": {"path": "a"}, "labeller": name, "recorded": {"answers": answers}}
    )
    assert settings.budget == LABELLERS[name].budget
    labeller = LABELLERS[name].builder()(LabellerInputs(settings, TARGET, {}))(2)
    assert labeller.name.startswith(name)
    assert labeller.prompt_hash(QUESTION) == labeller.prompt_hash(QUESTION)


TARGET = corpus(history(0, 60)[0])
QUESTION = Question(
    "g", 3, (runs_of(["recv", "check", "gone"]),), (3,), {e: TEXTS[e] for e in ("recv", "check", "gone")}, ("shop-1",)
)


def test_prompt_hashes_do_not_change_unnoticed(tmp_path: Path) -> None:
    """Answers in a ledger were paid for: a change of these hashes pays for all of them again."""
    path = tmp_path / "answers.jsonl"
    path.write_text('{"window": "shop-1", "label": "normal", "confidence": 0.9}\n')
    question = replace(QUESTION, example_window_ids=("shop-1", "shop-2"))
    assert [
        HeuristicLabeller(EvidenceModel(TARGET, {}), TARGET).prompt_hash(question)[:16],
        OpenAILabeller(OpenAISettings(model="m"), SystemProfile.of(TARGET)).prompt_hash(question)[:16],
        RecordedLabeller("shop", path).prompt_hash(question)[:16],
    ] == ["98b405f9384d5b6f", "c675ce62749ba1ef", "ef27fe8fffe2ef66"]
