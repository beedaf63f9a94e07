"""`fusionlog train`, with the recipe replaced by one that ends at once."""

import json
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from fusionlog.__main__ import run
from fusionlog.progress import BarProgress, LogProgress
from trainer.errors import SourceError


@dataclass(frozen=True)
class Report:
    version: int = 3
    sha256: str = "ab" * 32
    labeller: str = "heuristic"
    metrics: dict = field(default_factory=lambda: {"agreement": 0.91234})
    warnings: tuple = ("no anomaly was found",)


@pytest.fixture
def recipe(monkeypatch):
    """Stands in for the recipe; `settings` is what it was called with, `error` what it raises."""
    fake = SimpleNamespace(settings=None, error=None)

    def train(settings, progress):
        fake.settings = settings
        progress.stage("source: templates", 10)
        progress.advance(10)
        if fake.error is not None:
            raise fake.error
        return Report()

    fake.train = train
    monkeypatch.setitem(sys.modules, "trainer.recipe", fake)
    return fake


def test_flags_become_settings(recipe, tmp_path):
    """Each option lands where the settings file would put it."""
    arguments = [
        *("--source", "BGL.log", "--source-layout", "loghub-bgl", "--source-window-kind", "tumbling"),
        *("--source-size-seconds", "30", "--labels", "l.csv", "--target", "kafka://raw.hdfs", "--system", "hdfs"),
        *(
            "--target-layout",
            "loghub-hdfs",
            "--idle-seconds",
            "86400",
            "--labeller",
            "recorded",
            "--answers",
            "a.jsonl",
        ),
        *("--budget", "50", "--seed", "7", "--out", str(tmp_path), "--no-publish", "--no-promote", "--store", "/s"),
        *("--bootstrap-servers", "k:1", "--topic-prefix", "p"),
    ]
    assert run(["train", *arguments]) == 0
    settings = recipe.settings
    source, target = settings.source, settings.target
    assert (source.path, source.spec.layout, source.spec.window.kind) == ("BGL.log", "loghub-bgl", "tumbling")
    assert (source.spec.window.size_seconds, str(source.labels)) == (30, "l.csv")
    assert (target.topic, target.spec.name, target.spec.layout) == ("raw.hdfs", "hdfs", "loghub-hdfs")
    assert target.spec.window.idle_seconds == 86_400
    assert (settings.labeller, str(settings.recorded.answers), settings.budget) == ("recorded", "a.jsonl", 50)
    assert (settings.seed, settings.publish, settings.promote, settings.store) == (7, False, False, "/s")
    assert (settings.kafka.bootstrap_servers, settings.topic_prefix) == ("k:1", "p")


def test_a_flag_changes_its_own_setting_alone(recipe, tmp_path):
    """What the file says beside it stays."""
    config = tmp_path / "trainer.yaml"
    config.write_text(
        "target: {path: a.log, spec: {key_pattern: 'k=(.)', window: {kind: count, max_lines: 9}}}", "utf-8"
    )
    assert run(["train", "--config", str(config), "--system", "named"]) == 0
    spec = recipe.settings.target.spec
    assert (spec.name, spec.key_pattern, spec.window.kind, spec.window.max_lines) == ("named", "k=(.)", "count", 9)


@pytest.mark.usefixtures("recipe")
def test_json_is_the_last_line(capsys):
    """The report as one JSON object on standard output, nothing else there."""
    assert run(["train", "--target", "a.log", "--json"]) == 0
    output = capsys.readouterr().out.splitlines()
    assert len(output) == 1
    assert json.loads(output[0])["version"] == 3
    assert json.loads(output[0])["metrics"] == {"agreement": 0.91234}


@pytest.mark.usefixtures("recipe")
def test_people_get_a_summary(capsys):
    """Name and value of everything in the report."""
    assert run(["train", "--target", "a.log"]) == 0
    output = capsys.readouterr().out
    assert "agreement 0.9123" in output
    assert "heuristic" in output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "target must be given"),
        (
            ["--target", "a", "--budget", "1"],
            "budget must be greater than or equal to 10, got 1 (set on the command line)",
        ),
        (["--target", "a", "--target-layout", "bgl"], "target.spec.layout must be one of"),
        (["--target", "a", "--key-pattern", "("], "target.spec.key_pattern must be a regular expression, got '('"),
        (["--target", "a", "--config", "/absent.yaml"], "--config must be a readable file"),
    ],
)
def test_misuse_is_one_line_and_exit_2(recipe, capsys, arguments, told):
    """The key, the value and what is allowed; nothing was started."""
    assert run(["train", *arguments]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.count("\n") == 1
    assert recipe.settings is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SourceError("source x must be labelled"), "source x must be labelled"),
        (KeyboardInterrupt(), "nothing is half published"),
    ],
)
def test_a_failed_run_exits_1_with_one_line(recipe, capsys, error, told):
    """A failure and Ctrl-C both say what is the matter, without a traceback."""
    recipe.error = error
    assert run(["train", "--target", "a.log", "--json"]) == 1
    captured = capsys.readouterr()
    assert told in captured.err.splitlines()[-1]
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_progress_off_a_terminal_is_log_lines(capsys, monkeypatch):
    """One when a stage begins, and one when it is time again."""
    seen = []
    log = SimpleNamespace(info=lambda event, **fields: seen.append((event, fields["stage"], fields["done"])))
    monkeypatch.setattr("fusionlog.progress.structlog", SimpleNamespace(get_logger=lambda _: log))
    with LogProgress() as progress:
        progress.stage("target: windows", 100)
        progress.advance(40)
        monkeypatch.setattr("fusionlog.progress.LOG_SECONDS", 0.0)
        progress.advance(2)
    assert seen == [("stage", "target: windows", 0), ("progress", "target: windows", 42)]
    assert capsys.readouterr().out == ""


def test_bars_end_full_even_where_the_total_was_an_estimate(capsys):
    """Offsets of a compacted topic are more than its records: a stage that is done is shown as done."""
    with BarProgress() as progress:
        progress.stage("source: windows", 100)
        progress.advance(60)
        progress.stage("target: windows")
        progress.advance(5)
    assert [(task.completed, task.total) for task in progress._bars.tasks] == [(60, 60), (5, 5)]
    assert capsys.readouterr().out == ""
