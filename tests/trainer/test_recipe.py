import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Never

import pytest
import structlog

from detector.artifact.export import read_manifest, unpack
from detector.artifact.folder import read_folder
from detector.artifact.tensors import MANIFEST
from detector.model.scoring import Scorer
from tests.trainer.tiny_run import in_process, keep_ten_windows, tiny_settings
from trainer.context import TrainingContext
from trainer.errors import LabellerError, SourceError, TrainerError
from trainer.labelling.base import Answer, Question
from trainer.progress import ProgressRecord, Stage
from trainer.recipe import train
from trainer.settings import TrainerSettings
from trainer.workers.local import Workers, local_workers

pytestmark = pytest.mark.ray


def test_a_run_repeats_itself_to_the_byte(tmp_path: Path) -> None:
    """The same settings, inputs and seed give the same artifact, whether answers are fresh or remembered."""
    settings = tiny_settings(tmp_path)
    first = train(settings, make_workers=in_process)
    files = read_folder(tmp_path / "out")
    again = train(settings, make_workers=in_process)
    assert again.counts["answers_remembered"] == again.counts["groups"]
    assert first.sha256 == again.sha256
    assert read_folder(tmp_path / "out") == files
    assert first.counts["windows"] == 250
    assert first.labeller == "heuristic"
    unpack(files, first.sha256)
    manifest = read_manifest(files[MANIFEST])
    assert manifest.metrics == first.metrics.flat()
    assert manifest.transfer_readiness == first.metrics.transfer_readiness
    assert first.metrics.guard.count > 0


def test_the_model_finds_what_the_labeller_found(tmp_path: Path) -> None:
    """The artifact flags windows of failures in the target's own history and leaves normal ones alone."""
    train(tiny_settings(tmp_path, meta_steps=20, final_steps=500), make_workers=in_process)
    files = read_folder(tmp_path / "out")
    model = unpack(files)
    windows = [window.runs for window in read_manifest(files[MANIFEST]).golden]
    texts = {info.id: info.text for info in model.templates}
    gone = next(event for event, text in texts.items() if "refused" in text)
    normal = next(runs for runs in windows if gone not in {event for event, _ in runs})
    scores = Scorer(model).score([normal, (*normal[:4], (gone, 1))], {})
    assert scores[0] < 0.5 <= scores[1]


def test_a_budget_of_alerts_sets_the_threshold(tmp_path: Path) -> None:
    """The history raises about as many alerts a day as are wanted, and the model, as loaded, holds that threshold.

    The history has 250 windows in 0.29 days.
    """
    report = train(tiny_settings(tmp_path, alerts_per_day=20.0), make_workers=in_process)
    assert report.metrics.alerts_per_day is not None
    assert report.metrics.alerts_per_day == pytest.approx(20.0, rel=0.5)
    assert report.metrics.alert_rate * 250 / 0.29 == pytest.approx(report.metrics.alerts_per_day, rel=0.05)
    model = unpack(read_folder(tmp_path / "out"))
    assert model.threshold != 0.5
    per_windows = train(tiny_settings(tmp_path, alerts_per_1000_windows=24.0), make_workers=in_process)
    assert per_windows.metrics.alert_rate == pytest.approx(0.024, rel=0.5)


def test_alerts_a_day_need_times(tmp_path: Path) -> None:
    """Without times the run ends before anything is asked, and the error names the setting that works."""
    settings = tiny_settings(tmp_path, alerts_per_day=20.0)
    lines = [json.loads(line) for line in (tmp_path / "target.jsonl").read_text().splitlines()]
    (tmp_path / "target.jsonl").write_text("".join(json.dumps({"message": line["message"]}) + "\n" for line in lines))
    with pytest.raises(SourceError, match="alerts_per_1000_windows"):
        train(settings, make_workers=in_process)


def test_settings_and_seed_are_logged_first_and_without_secrets(tmp_path: Path) -> None:
    """The first line of a run says what it will do, defaults included; a key is not in it."""
    settings = tiny_settings(tmp_path, seed=7, openai={"api_key": "sk-very-secret"})
    with structlog.testing.capture_logs() as logs:
        train(settings, make_workers=in_process)
    assert logs[0]["event"] == "run.settings"
    assert logs[0]["seed"] == 7
    assert logs[0]["settings"]["labeller"] == "heuristic"
    assert logs[0]["settings"]["budget"] == 20_000
    assert "sk-very-secret" not in json.dumps(logs, default=str)


def test_progress_tells_every_stage_in_order(tmp_path: Path) -> None:
    """A parent process can follow the run from reading to packing."""
    records: list[ProgressRecord] = []
    train(tiny_settings(tmp_path), records.append, in_process)
    stages = [record.name for record in records if isinstance(record, Stage)]
    assert stages[:4] == ["source: templates", "source: windows", "target: templates", "target: windows"]
    assert stages[4:8] == ["workers", "similarity", "meta-learning", "audit"]
    assert stages[-1] == "pack"


def test_a_target_without_windows_is_a_clear_error_and_nothing_is_written(tmp_path: Path) -> None:
    """Lines that name no key end the run before any worker is made or anything written."""
    settings = tiny_settings(tmp_path)
    (tmp_path / "target.jsonl").write_text('{"message": "no key here"}\n')
    with pytest.raises(SourceError, match="name no key"):
        train(settings, make_workers=in_process)
    assert not (tmp_path / "out").exists()


def test_a_source_of_one_class_is_a_clear_error(tmp_path: Path) -> None:
    """A source without anomalies cannot teach, and the message says so."""
    settings = tiny_settings(tmp_path)
    path = tmp_path / "source.jsonl"
    path.write_text(path.read_text().replace('"anomalous"', '"normal"'))
    with pytest.raises(TrainerError, match="no anomalous one"):
        train(settings, make_workers=in_process)


def test_an_interrupted_run_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the model learns: no artifact, workers closed, answers kept for the next run."""
    closed = []

    def interrupt(*_: Any) -> Never:
        raise KeyboardInterrupt

    def interrupted(context: TrainingContext, _settings: TrainerSettings) -> Workers:
        workers = local_workers(context)
        monkeypatch.setattr(workers.learner, "fine_tune", interrupt)

        def close() -> None:
            closed.append(True)
            workers.close()

        return replace(workers, close=close)

    settings = tiny_settings(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(settings, make_workers=interrupted)
    assert closed == [True]
    assert not (tmp_path / "out").exists()
    report = train(settings, make_workers=in_process)
    assert report.counts["answers_remembered"] > 0


class Unreachable:
    """Labellers whose endpoint does not answer."""

    def label(self, questions: Sequence[Question]) -> Iterator[list[Answer]]:
        yield [Answer(question.group, "abstain", 0.0, reason="endpoint did not answer") for question in questions]


def test_without_any_answer_no_model_is_made(tmp_path: Path) -> None:
    """When no question gets an answer the run fails and names the reason, and the serving model stays."""
    with pytest.raises(
        LabellerError, match=r"at least once, got \d+ abstentions \(most often: endpoint did not answer\)"
    ):
        train(
            tiny_settings(tmp_path),
            make_workers=lambda context, _: replace(local_workers(context), labellers=Unreachable()),
        )
    assert not (tmp_path / "out").exists()


def test_labels_of_the_target_reach_nothing(tmp_path: Path) -> None:
    """Labels in the target's lines change no byte of the artifact, no answer and no prompt hash, and are in no log."""
    settings = tiny_settings(tmp_path)
    plain = train(settings, make_workers=in_process).sha256
    answers = (tmp_path / "work" / "labels.jsonl").read_text()
    (tmp_path / "work" / "labels.jsonl").unlink()
    path = tmp_path / "target.jsonl"
    words = ("anomalous", "normal")
    labelled = [
        {**json.loads(line), "label": words[number % 2], "anomalous": number % 2 == 0}
        for number, line in enumerate(path.read_text().splitlines())
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in labelled))
    with structlog.testing.capture_logs() as logs:
        assert train(settings, make_workers=in_process).sha256 == plain
    assert (tmp_path / "work" / "labels.jsonl").read_text() == answers
    assert not any("label" in entry for entry in logs)


def write_healthy_orders(path: Path) -> None:
    """Orders of every length from 1 to 60 lines, in which nothing fails."""
    start = datetime(2025, 1, 1, tzinfo=UTC)
    with path.open("w") as file:
        for number in range(120):
            steps = ["order received", *["item picked", "item scanned"] * (number // 4), "order closed"]
            for step, text in enumerate(steps):
                time = (start + timedelta(seconds=200 * number + step)).isoformat()
                file.write(json.dumps({"time": time, "message": f"{text} order=o{number}"}) + "\n")


class Agrees:
    """Labellers that find every window normal."""

    def label(self, questions: Sequence[Question]) -> Iterator[list[Answer]]:
        yield [Answer(question.group, "normal", 0.9, prompt_hash=question.group) for question in questions]


def without_anomaly(context: TrainingContext, _settings: TrainerSettings) -> Workers:
    """Workers whose labellers find nothing wrong."""
    return replace(local_workers(context), labellers=Agrees())


@pytest.fixture
def promoted(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each model that was published was promoted; there is no broker."""
    seen: list[bool] = []

    def publish(*_: Any, promote: bool, **__: Any) -> tuple[int, str]:
        seen.append(promote)
        return len(seen), ""

    monkeypatch.setattr("trainer.recipe.publish", publish)
    monkeypatch.setattr("trainer.recipe.check_publishable", lambda *_: None)
    return seen


def test_a_history_without_anomalies_is_published_without_promotion(tmp_path: Path, promoted: list[bool]) -> None:
    """Where the labeller finds nothing wrong the model waits, and the report says what to change."""
    settings = tiny_settings(tmp_path, publish=True)
    write_healthy_orders(tmp_path / "target.jsonl")
    report = train(settings, make_workers=without_anomaly)
    assert promoted == [False]
    assert report.version == 1
    assert "must find normal and anomalous windows, got no anomalous one among 30 answers" in report.refused[0]
    assert report.warnings == ()
    assert report.metrics.transfer_readiness is None


def test_force_promotes_and_warns_instead(tmp_path: Path, promoted: list[bool]) -> None:
    """Who insists gets the model promoted, with the same words as a warning."""
    settings = tiny_settings(tmp_path, publish=True, force=True)
    write_healthy_orders(tmp_path / "target.jsonl")
    report = train(settings, make_workers=without_anomaly)
    assert promoted == [True]
    assert report.refused == ()
    assert "got no anomalous one" in report.warnings[0]


def test_force_does_not_override_promote(tmp_path: Path, promoted: list[bool]) -> None:
    """`promote: false` is about who decides, not about the history; a good history is promoted where it is true."""
    train(tiny_settings(tmp_path, publish=True, promote=False, force=True), make_workers=in_process)
    report = train(tiny_settings(tmp_path, publish=True), make_workers=in_process)
    assert promoted == [False, True]
    assert report.refused == ()


def test_ten_windows_are_refused_before_anything_is_read_or_started(tmp_path: Path) -> None:
    """Neither source nor workers are touched, and nothing is written; forced, the run gets its model."""
    settings = tiny_settings(tmp_path)
    keep_ten_windows(tmp_path / "target.jsonl")
    records: list[ProgressRecord] = []
    with pytest.raises(SourceError, match=r"at least 16 distinct windows, got \d+ in 10 windows.*--force"):
        train(settings, records.append, make_workers=_no_workers)
    assert records == []
    assert not (tmp_path / "work").exists()
    report = train(settings.model_copy(update={"force": True}), make_workers=in_process)
    assert any("distinct windows" in warning for warning in report.warnings)
    assert (tmp_path / "out").exists()


def _no_workers(*_: Any) -> Never:
    raise AssertionError("no worker is needed")
