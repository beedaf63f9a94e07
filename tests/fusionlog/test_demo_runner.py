from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from fusionlog.__main__ import run
from fusionlog.demo import checks, configs, runner
from fusionlog.demo.generator import GeneratedLine
from fusionlog.demo.result import DemoResult
from fusionlog.demo.runner import _Demo
from fusionlog.demo.scorer import Scores
from fusionlog.errors import DemoError
from fusionlog.render.spinner import Spinner
from testkit.kafka_io import Committed
from trainer.progress import Count, ProgressRecord, Stage, encode_record

WANTED = {
    "seed", "broker", "lines_produced", "lines_consumed", "windows", "alerts", "precision", "recall", "f1",
    "keyword_f1", "new_template_f1", "recall_by_failure_kind", "lines_per_second", "model", "labeller", "seconds",
}  # fmt: skip


@pytest.fixture(scope="module")
def demo() -> _Demo:
    """A demo of seed 1 that has no broker."""
    return _Demo(runner.DemoOptions(), "127.0.0.1:1", Path(), Console(quiet=True))


def sent(demo: _Demo) -> dict[int, int]:
    """How many live lines go to each partition."""
    counts: dict[int, int] = {}
    for line in demo.live:
        counts[line.partition] = counts.get(line.partition, 0) + 1
    return counts


def positions(counts: Mapping[int, int]) -> dict[int, Committed]:
    """Committed positions at those counts."""
    return {partition: Committed(count, "") for partition, count in counts.items()}


def test_a_line_that_is_not_consumed_fails_the_demo(demo: _Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumed must be produced, partition by partition."""
    counts = sent(demo)
    monkeypatch.setattr(demo._io, "committed", lambda *_: positions(counts))
    assert checks.consumed_lines(demo._io, "group", "raw", demo.live) == len(demo.live)
    monkeypatch.setattr(demo._io, "committed", lambda *_: positions(counts | {2: counts[2] - 1}))
    with pytest.raises(DemoError, match="the agent must consume what was produced"):
        checks.consumed_lines(demo._io, "group", "raw", demo.live)


def test_a_broker_that_dropped_lines_fails_the_demo(demo: _Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line must be in its partition after it was sent."""
    counts = sent(demo)
    monkeypatch.setattr(demo._io, "ends", lambda *_: counts)
    checks.check_all_kept(demo._io, "raw", demo.live)
    monkeypatch.setattr(demo._io, "ends", lambda *_: counts | {0: counts[0] - 1})
    with pytest.raises(DemoError, match="topic raw must hold every line"):
        checks.check_all_kept(demo._io, "raw", demo.live)


def test_data_that_the_embedded_broker_would_drop_is_refused(demo: _Demo) -> None:
    """The real data has room; three fifths of a partition is the bound."""
    checks.check_room(demo.live)
    with pytest.raises(DemoError, match="a partition must take at most"):
        checks.check_room([GeneratedLine("x" * 4_000_000, 0, 0, "")])


def test_lines_stand_where_one_producer_puts_them() -> None:
    """Offsets count up in each partition by itself."""
    lines = [GeneratedLine(str(number), 0, number % 2, "") for number in range(4)]
    placed = checks.places_of(lines)
    assert {place: line.text for place, line in placed.items()} == {(0, 0): "0", (1, 0): "1", (0, 1): "2", (1, 1): "3"}


def test_the_status_names_the_stage_of_the_training_run(tmp_path: Path) -> None:
    """The last progress record of a stage counts, also while the next record is being written."""
    progress = tmp_path / "progress.jsonl"
    assert runner._stage_of(progress) == ""
    records: tuple[ProgressRecord, ...] = (Stage("templates"), Stage("audit", 16), Count(5))
    progress.write_bytes(b"".join(encode_record(record) for record in records) + encode_record(Stage("export"))[:-4])
    assert runner._stage_of(progress) == "audit"


def test_without_a_terminal_a_line_every_fifteen_seconds_shows_progress() -> None:
    """The line names the step, its seconds, and its part."""
    now, output = [0.0], StringIO()
    with Spinner(Console(file=output, width=40), "training", lambda: now[0]) as spinner:
        for second in range(40):
            now[0] = float(second)
            spinner.update("audit")
    assert output.getvalue().splitlines() == ["   training for 15 s, audit", "   training for 30 s, audit"]


def test_the_written_settings_are_those_of_trainer_and_agent(demo: _Demo, tmp_path: Path) -> None:
    """Both programs accept what the demo writes, and agree on how the target is cut."""
    from agent.settings import AgentSettings
    from fusionlog.settings.load import load_settings
    from trainer.settings import TrainerSettings

    trainer = configs.write_trainer(tmp_path, demo._kafka, demo.topics, demo.data, "raw.history", 1)
    agent = configs.write_agent(tmp_path, demo._kafka, demo.topics, demo.data, "raw.live", 8080)
    trained = load_settings(TrainerSettings, trainer, {}, {})
    served = load_settings(AgentSettings, agent, {}, {})
    assert trained.target.spec.fingerprint() == served.systems[0].spec.fingerprint()
    assert trained.target.topic == "raw.history"
    assert served.topics == trained.topics
    assert not served.close_idle_by_clock


def result_of(scores: Scores, windows: int) -> DemoResult:
    """A result with so many windows of the kind `crash`."""
    return DemoResult(
        seed=1, broker="embedded", topic_prefix="p", lines_produced=5, lines_consumed=5, scores=scores,
        kinds={"crash": "words"}, windows_by_kind={"crash": windows}, lines_per_second=1.0, model_version=1,
        model_sha256="a" * 64, labeller="heuristic", train_seconds=1.0, seconds=2.0,
    )  # fmt: skip


def test_the_table_names_every_kind() -> None:
    """Each failure kind stands with what shows it, how often it was there and how much of it was found."""
    output = StringIO()
    Console(file=output, width=140).print(
        result_of(Scores(10, 2, 12, 1.0, 1.0, 1.0, {"crash": 0.5}, 0.3, 0.1), 14).table()
    )
    rows = [line.replace("│", "").split() for line in output.getvalue().splitlines()]
    assert ["alerts", "12"] in rows
    assert ["crash", "words", "14", "50%"] in rows


def test_the_document_has_what_scripts_read() -> None:
    """The JSON object has every promised key, and recall by kind is flat."""
    document = result_of(Scores(10, 2, 2, 1.0, 1.0, 1.0, {"crash": 1.0}, 0.3, 0.1), 2).document()
    assert set(document) >= WANTED
    assert document["model"] == {"version": 1, "sha256": "a" * 64}
    assert document["recall_by_failure_kind"] == {"crash": 1.0}


@pytest.mark.parametrize("arguments", [["--bootstrap-servers", "nonsense"], ["--seed", "-1"], ["--nonsense"]])
def test_misuse_is_one_line_and_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong option is named in one line, without a traceback."""
    assert run(["demo", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("fusionlog: ")
    assert arguments[-1].lstrip("-") in error or arguments[0] in error


def test_a_failing_program_shows_its_log_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log of the program to blame stands before the one-line error, and standard output stays empty."""

    def fail(*_: object) -> None:
        raise DemoError("`fusionlog train` must end with exit code 0, got 1", "the end of the log")

    monkeypatch.setattr(runner, "run", fail)
    assert run(["demo", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "the end of the log" in captured.err
    assert captured.err.strip().splitlines()[-1] == "fusionlog: `fusionlog train` must end with exit code 0, got 1"
