"""`fusionlog train`, with the recipe replaced by one that ends at once."""

import dataclasses
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from fusionlog.__main__ import run
from fusionlog.render.progress import BarProgress, LogProgress
from trainer.errors import SourceError
from trainer.learning.evaluation import Share, TrainingMetrics
from trainer.plan import TrainingPlan
from trainer.progress import Count, ProgressRecord, Stage, decode_records
from trainer.report import TrainingReport
from trainer.settings import TrainerSettings

REPORT = TrainingReport(
    system="shop",
    version=3,
    sha256="ab" * 32,
    labeller="heuristic",
    metrics=TrainingMetrics(
        answers=50,
        abstentions=1,
        anomalous_answers=4,
        guard=Share(0.9, 0.77, 0.96, 40),
        readiness=Share(0.75, 0.3, 0.95, 4),
        neighbors_agree=0.8,
        alert_rate=0.015,
    ),
    counts={
        "target_lines": 1000,
        "windows": 200,
        "signatures": 50,
        "templates": 12,
        "unreadable_lines": 2,
        "answers_asked": 30,
        "answers_remembered": 20,
    },
    seconds=12.5,
    retrieval="milvus",
    warnings=("no anomaly was found",),
)


class FakeRecipe(ModuleType):
    """The recipe's module; `settings` is the argument of the last run, `error` is raised by the next one."""

    def __init__(self) -> None:
        super().__init__("trainer.recipe")
        self.settings: Any = None
        self.error: BaseException | None = None

    def train(self, settings: TrainerSettings, progress: Callable[[ProgressRecord], None]) -> TrainingReport:
        """A run of two progress records."""
        self.settings = settings
        progress(Stage("source: templates", 10))
        progress(Count(10))
        if self.error is not None:
            raise self.error
        return REPORT


PLAN = TrainingPlan(
    system="shop",
    labeller="openai:judge",
    lines=1000,
    windows=200,
    signatures=50,
    groups=40,
    answers_to_ask=30,
    answers_remembered=10,
    estimated_tokens=21_000,
    estimated_cost=None,
    warnings=("ten windows are few",),
)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> FakeRecipe:
    """Replaces the module of the recipe."""
    fake = FakeRecipe()
    monkeypatch.setitem(sys.modules, "trainer.recipe", fake)
    return fake


def test_flags_become_settings(recipe: FakeRecipe, tmp_path: Path) -> None:
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
        *("--from", "2026-11-01T00:00:00Z", "--to", "offset:900"),
        *("--budget", "50", "--seed", "7", "--out", str(tmp_path), "--no-publish", "--no-promote", "--store", "/s"),
        *("--bootstrap-servers", "k:1", "--topic-prefix", "p", "--workers", "local", "--force"),
    ]
    assert run(["train", *arguments]) == 0
    settings = recipe.settings
    source, target = settings.source, settings.target
    assert (source.path, source.spec.layout, source.spec.window.kind) == ("BGL.log", "loghub-bgl", "tumbling")
    assert (source.spec.window.size_seconds, str(source.labels)) == (30, "l.csv")
    assert (target.topic, target.spec.name, target.spec.layout) == ("raw.hdfs", "hdfs", "loghub-hdfs")
    assert target.spec.window.idle_seconds == 86_400
    assert (target.begin, target.end) == ("2026-11-01T00:00:00Z", "offset:900")
    assert (settings.labeller, str(settings.recorded.answers), settings.budget) == ("recorded", "a.jsonl", 50)
    assert (settings.seed, settings.publish, settings.promote, settings.store) == (7, False, False, "/s")
    assert (settings.kafka.bootstrap_servers, settings.topic_prefix) == ("k:1", "p")
    assert (settings.workers, settings.force) == ("local", True)


def test_a_line_pattern_alone_means_the_layout_that_takes_it(recipe: FakeRecipe) -> None:
    """Where event time stands in lines of text can be said without a settings file, for either system."""
    pattern, other = r"(?P<time>\S+) (?P<message>.*)", "(?P<message>.*)"
    arguments = ["--line-pattern", pattern, "--time-format", "iso"]
    source = ["--source", "b.log", "--source-line-pattern", other, "--source-time-format", "epoch_s"]
    assert run(["train", "--target", "a.log", *arguments, *source]) == 0
    spec, labelled = recipe.settings.target.spec, recipe.settings.source.spec
    assert (spec.layout, spec.line_pattern, spec.time_format) == ("custom", pattern, "iso")
    assert (labelled.layout, labelled.line_pattern, labelled.time_format) == ("custom", other, "epoch_s")


def test_a_flag_changes_its_own_setting_alone(recipe: FakeRecipe, tmp_path: Path) -> None:
    """What the file says beside it stays."""
    config = tmp_path / "trainer.yaml"
    config.write_text(
        "target: {path: a.log, spec: {key_pattern: 'k=(.)', window: {kind: count, max_lines: 9}}}", "utf-8"
    )
    assert run(["train", "--config", str(config), "--system", "named"]) == 0
    spec = recipe.settings.target.spec
    assert (spec.name, spec.key_pattern, spec.window.kind, spec.window.max_lines) == ("named", "k=(.)", "count", 9)


@pytest.mark.usefixtures("recipe")
def test_json_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The report as one JSON object on standard output, nothing else there."""
    assert run(["train", "--target", "a.log", "--json"]) == 0
    output = capsys.readouterr().out.splitlines()
    assert len(output) == 1
    assert json.loads(output[0])["version"] == 3
    assert json.loads(output[0])["metrics"] == REPORT.metrics.flat()
    assert json.loads(output[0])["transfer_readiness"] == 0.75


@pytest.mark.usefixtures("recipe")
def test_people_get_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    """Version, data and how far to trust the model, in at most a dozen lines."""
    assert run(["train", "--target", "a.log"]) == 0
    output = capsys.readouterr().out
    assert "version       3\n" in output
    assert "1000 lines, 200 windows (50 distinct), 12 templates, 2 lines unreadable" in output
    assert "heuristic: 30 asked, 20 remembered, 4 anomalous, 1 abstentions" in output
    assert "in 36 of 40 answers that it had not seen (95% interval 77% to 96%)" in output
    assert "in 3 of 4 answers on general windows (95% interval 30% to 95%)" in output
    assert "3 of the history's 200 windows (1.50%)" in output
    assert len(output.splitlines()) <= 12


def test_a_share_of_nothing_is_no_share(
    recipe: FakeRecipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`0.0% of 0 answers` would read as a bad model."""
    none = Share(0.0, 0.0, 1.0, 0)
    nothing = dataclasses.replace(REPORT, metrics=dataclasses.replace(REPORT.metrics, guard=none, readiness=none))
    monkeypatch.setattr(recipe, "train", lambda *_: nothing)
    assert run(["train", "--target", "a.log"]) == 0
    output = capsys.readouterr().out
    assert "model         not known: there was no answer to judge it by" in output
    assert "source model  not known" in output


def test_a_model_that_was_not_promoted_exits_1(
    recipe: FakeRecipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report is printed as ever; the last line on standard error says why, and how to promote it."""
    refused = dataclasses.replace(REPORT, refused=("answers must be of both classes",))
    monkeypatch.setattr(recipe, "train", lambda *_: refused)
    assert run(["train", "--target", "a.log", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["refused"] == ["answers must be of both classes"]
    assert "answers must be of both classes; the model does not serve" in captured.err.splitlines()[-1]
    assert run(["train", "--target", "a.log"]) == 1
    assert "version       3, not promoted\n" in capsys.readouterr().out
    for option, words in {"--no-publish": "it was not published", "--no-promote": "without promotion"}.items():
        assert run(["train", "--target", "a.log", "--out", "model", option]) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert words in last
        assert "--force" not in last


def test_a_dry_run_counts_and_trains_nothing(
    recipe: FakeRecipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Windows, distinct windows, groups, questions, tokens and cost, for people and as JSON; the recipe is not run."""
    planned: list[TrainerSettings] = []

    def plan(settings: TrainerSettings, _progress: Callable[[ProgressRecord], None]) -> TrainingPlan:
        planned.append(settings)
        return PLAN

    monkeypatch.setattr("trainer.plan.plan", plan)
    assert run(["train", "--target", "a.log", "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert "1000 lines, 200 windows (50 distinct), 40 label groups" in captured.out
    assert "openai:judge: 30 answers to be asked, 10 remembered" in captured.out
    assert "about 21000" in captured.out
    assert "no price set" in captured.out
    assert "warning: ten windows are few" in captured.err
    assert run(["train", "--target", "a.log", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**dataclasses.asdict(PLAN), "warnings": ["ten windows are few"]}
    assert [settings.target.path for settings in planned] == ["a.log"] * 2
    assert recipe.settings is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "target must be given"),
        (
            ["--target", "a", "--budget", "1"],
            "budget must be greater than or equal to 16, got 1 (set on the command line)",
        ),
        (["--target", "a", "--target-layout", "bgl"], "target.spec.layout must be one of"),
        (["--target", "a", "--workers", "dask"], "workers must be one of 'ray' or 'local', got 'dask'"),
        (["--target", "a", "--key-pattern", "("], "target.spec.key_pattern must be a regular expression, got '('"),
        (["--target", "a", "--config", "/absent.yaml"], "--config must be a readable file"),
    ],
)
def test_misuse_is_one_line_and_exit_2(
    recipe: FakeRecipe, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """The key, the value and what is allowed; nothing was started."""
    assert run(["train", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert recipe.settings is None


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SourceError("source x must be labelled"), "source x must be labelled"),
        (KeyboardInterrupt(), "nothing is half published"),
    ],
)
def test_a_failed_run_exits_1_with_one_line(
    recipe: FakeRecipe, capsys: pytest.CaptureFixture[str], error: BaseException, message: str
) -> None:
    """A failure and Ctrl-C are each one line, without a traceback."""
    recipe.error = error
    assert run(["train", "--target", "a.log", "--json"]) == 1
    captured = capsys.readouterr()
    assert message in captured.err.splitlines()[-1]
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.usefixtures("recipe")
def test_a_parent_process_reads_progress_as_json_lines(tmp_path: Path) -> None:
    """Every record is in the file, in order; a line that is still being written is left out."""
    file = tmp_path / "progress.jsonl"
    assert run(["train", "--target", "a.log", "--progress-file", str(file)]) == 0
    expected = [Stage("source: templates", 10), Count(10)]
    assert list(decode_records(file.read_bytes())) == expected
    assert list(decode_records(file.read_bytes() + b'{"kind":"cou')) == expected


def test_a_progress_file_that_cannot_be_written_is_one_line(
    recipe: FakeRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option and the reason; the run does not begin."""
    assert run(["train", "--target", "a.log", "--progress-file", "/absent/progress.jsonl"]) == 2
    captured = capsys.readouterr()
    assert "--progress-file must be a file that can be written" in captured.err
    assert captured.err.count("\n") == 1
    assert recipe.settings is None


def test_progress_off_a_terminal_is_log_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One when a stage begins; then one now and then, also while a stage reports no steps."""
    seen: list[tuple[str, object, object]] = []
    reported = threading.Event()

    def info(event: str, **fields: object) -> None:
        seen.append((event, fields["stage"], fields.get("done")))
        if event == "progress":
            reported.set()

    monkeypatch.setattr(
        "fusionlog.render.progress.structlog", SimpleNamespace(get_logger=lambda _: SimpleNamespace(info=info))
    )
    monkeypatch.setattr("fusionlog.render.progress.LOG_SECONDS", 0.001)
    with LogProgress() as progress:
        progress(Stage("fine-tune final"))
        progress(Count(2))
        monkeypatch.setattr(progress, "_began", time.monotonic() - 1)
        assert reported.wait(10)
    assert seen[0] == ("stage", "fine-tune final", None)
    assert seen[-1] == ("progress", "fine-tune final", 2)
    assert not progress._heart.is_alive()
    assert capsys.readouterr().out == ""


def test_log_lines_are_printed_above_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go through the console that draws the bars, and back to standard error afterwards."""
    real, terminal = StringIO(), StringIO()
    monkeypatch.setattr(sys, "stderr", real)
    handler = logging.StreamHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    with BarProgress(Console(file=terminal, force_terminal=True, width=80)) as progress:
        progress(Stage("source: windows", 100))
        logging.getLogger("x").warning("lines left out %s", "for a reason " * 20)
    logging.getLogger("x").warning("afterwards")
    assert "lines left out " + "for a reason " * 20 in terminal.getvalue()
    assert real.getvalue() == "afterwards\n"


def test_bars_end_full_even_where_the_total_was_an_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    """Offsets of a compacted topic are more than its records: a stage that is done is shown as done."""
    with BarProgress() as progress:
        progress(Stage("source: windows", 100))
        progress(Count(60))
        progress(Stage("target: windows"))
        progress(Count(5))
    assert [(task.completed, task.total) for task in progress._bars.tasks] == [(60, 60), (5, 5)]
    assert capsys.readouterr().out == ""
