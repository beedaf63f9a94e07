import json
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import structlog

from detector.artifact.export import MANIFEST, read_folder, read_manifest, unpack
from detector.model.scoring import Scorer
from detector.system import SystemSpec, WindowSpec
from tests.trainer.miniature import TEXTS, history
from trainer.errors import SourceError, TrainerError
from trainer.recipe import train
from trainer.settings import TrainerSettings
from trainer.workers.local import LocalCrew

SPEC = SystemSpec(
    name="shop", key_pattern=r"order=(\w+)", time_fields=("time",), window=WindowSpec(kind="session", idle_seconds=30)
)


def _lines(seed, count, words=None):
    """JSON lines of orders, with the truth of each."""
    dice = Random(seed)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    windows, kinds = history(seed, count)
    for number, (events, kind) in enumerate(zip(windows, kinds, strict=True)):
        for step, event in enumerate(events):
            text = (words or TEXTS)[event].replace("<NUM>", str(dice.randint(1, 999)))
            time = (start + timedelta(seconds=100 * number + step)).isoformat()
            yield {"time": time, "message": f"{text} order=o{number}"}, bool(kind)


def _settings(folder, **changes):
    with (folder / "source.jsonl").open("w") as file:
        words = {event: text.replace("parcel", "box") for event, text in TEXTS.items()}
        for line, bad in _lines(1, 150, words):
            file.write(json.dumps({**line, "label": "anomalous" if bad else "normal"}) + "\n")
    with (folder / "target.jsonl").open("w") as file:
        for line, _ in _lines(2, 250):
            file.write(json.dumps(line) + "\n")
    spec = SPEC.model_dump(mode="json")
    return TrainerSettings.model_validate(
        {
            "source": {"path": str(folder / "source.jsonl"), "spec": {**spec, "name": "old-shop"}},
            "target": {"path": str(folder / "target.jsonl"), "spec": spec},
            "work_dir": folder / "work",
            "out": folder / "out",
            "publish": False,
            "meta_steps": 5,
            "final_steps": 60,
            "hidden": 16,
            "rounds": 2,
            **changes,
        }
    )


def _local(assignment, _settings):
    return LocalCrew(assignment)


def test_a_run_repeats_itself_to_the_byte(tmp_path):
    """The same settings, inputs and seed give the same artifact, whether answers are fresh or remembered."""
    settings = _settings(tmp_path)
    first = train(settings, hire_crew=_local)
    files = read_folder(tmp_path / "out")
    again = train(settings, hire_crew=_local)
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


def test_the_model_finds_what_the_labeller_found(tmp_path):
    """The artifact flags windows of failures in the target's own history and leaves usual ones alone."""
    train(_settings(tmp_path, meta_steps=20, final_steps=500), hire_crew=_local)
    files = read_folder(tmp_path / "out")
    model = unpack(files)
    windows = [window.runs for window in read_manifest(files[MANIFEST]).golden]
    texts = {info.id: info.text for info in model.templates}
    gone = next(event for event, text in texts.items() if "refused" in text)
    usual = next(runs for runs in windows if gone not in {event for event, _ in runs})
    scores = Scorer(model).score([usual, (*usual[:4], (gone, 1))], {})
    assert scores[0] < 0.5 <= scores[1]


def test_a_target_without_windows_is_a_clear_error_and_nothing_is_written(tmp_path):
    """Lines that name no key end the run before anything is hired or written."""
    settings = _settings(tmp_path)
    (tmp_path / "target.jsonl").write_text('{"message": "no key here"}\n')
    with pytest.raises(SourceError, match="name no key"):
        train(settings, hire_crew=_local)
    assert not (tmp_path / "out").exists()


def test_a_source_of_one_class_is_a_clear_error(tmp_path):
    """A source without anomalies cannot teach, and the message says so."""
    settings = _settings(tmp_path)
    path = tmp_path / "source.jsonl"
    path.write_text(path.read_text().replace('"anomalous"', '"normal"'))
    with pytest.raises(TrainerError, match="no anomalous one"):
        train(settings, hire_crew=_local)


def test_an_interrupted_run_leaves_nothing_half_done(tmp_path):
    """Ctrl-C while the model learns: no artifact, workers let go, answers kept for the next run."""
    closed = []

    class Interrupted(LocalCrew):
        def __init__(self, assignment):
            super().__init__(assignment)
            close = self.close
            self.close = lambda: (closed.append(True), close())[1]
            self.fine_tune = self._interrupt

        def _interrupt(self, *_arguments):
            raise KeyboardInterrupt

    settings = _settings(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(settings, hire_crew=lambda assignment, _: Interrupted(assignment))
    assert closed == [True]
    assert not (tmp_path / "out").exists()
    report = train(settings, hire_crew=_local)
    assert report.counts["answers_remembered"] > 0


def test_no_log_line_names_a_label_of_the_target(tmp_path):
    """Labels that stand in the target's file change nothing: the artifact is the same byte for byte."""
    settings = _settings(tmp_path)
    plain = train(settings, hire_crew=_local).sha256
    path = tmp_path / "target.jsonl"
    labelled = [{**json.loads(line), "label": "anomalous"} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in labelled))
    with structlog.testing.capture_logs() as logs:
        assert train(settings, hire_crew=_local).sha256 == plain
    assert not any("label" in entry for entry in logs)


def test_a_history_without_anomalies_is_warned_of(tmp_path):
    """Where the labeller finds nothing wrong the operator is told, and agreement on normal windows is no readiness."""
    settings = _settings(tmp_path)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    with (tmp_path / "target.jsonl").open("w") as file:
        for number in range(60):
            for step, text in enumerate(("request accepted", "stock reserved", "request done")):
                time = (start + timedelta(seconds=100 * number + step)).isoformat()
                file.write(json.dumps({"time": time, "message": f"{text} order=o{number}"}) + "\n")
    report = train(settings, hire_crew=_local)
    assert "found no anomaly among 1 distinct windows" in report.warnings[0]
    assert report.metrics.transfer_readiness is None
