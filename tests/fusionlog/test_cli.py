import json
from pathlib import Path

import pytest

from broker import connection_check, topic_reader
from fusionlog.__main__ import app, run

VALID = "systems: [{topics: [raw], spec: {name: orders}}]\n"
COMMANDS = (
    ["demo"],
    ["train"],
    ["agent"],
    ["generate"],
    ["version"],
    ["tap"],
    ["tap", "alerts"],
    ["models"],
    ["models", "ls"],
    ["topics"],
    ["topics", "create"],
    ["topics", "ls"],
)


def test_every_registered_command_is_tested_for_help() -> None:
    """A new command cannot come without its line in COMMANDS."""
    registered = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert registered == {command[0] for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every command has --help, with an example that names the command."""
    assert run([*command, "--help"]) == 0
    assert f"Example: fusionlog {' '.join(command)}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", [[], ["tap"], ["models"], ["topics"]], ids=" ".join)
def test_a_group_without_a_command_prints_its_help_alone(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No name of an exception comes after the help."""
    assert run(command) == 2
    captured = capsys.readouterr()
    assert "Example: fusionlog" in captured.out
    assert not captured.err
    assert "Error" not in captured.out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_name_of_an_option_is_cut(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Help on a terminal of 80 columns shows options as they are typed."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*command, "--help"]) == 0
    options = [line.split() for line in capsys.readouterr().out.splitlines() if line.lstrip(" │").startswith("-")]
    assert not [words for words in options if "…" in "".join(words[:4])]


def test_the_version_is_a_command_and_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version`, as every program has it, prints the same."""
    assert run(["version"]) == 0
    printed = capsys.readouterr().out
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ["nonsense"]),
        (["train", "--budget", "many"], ["--budget", "many"]),
        (["train", "--no-such-flag"], ["--no-such-flag"]),
        (["demo", "--seed", "x"], ["--seed", "valid integer", "'x'"]),
        (["topics", "create", "--raw", "a:0"], ["--raw", "a:0", "partitions >= 1"]),
        (["agent", "--config", "/no/such/file.yaml"], ["/no/such/file.yaml"]),
    ],
)
def test_misuse_is_one_line_and_exit_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option is one readable line on standard error that names it and its value."""
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert not captured.out
    for word in words:
        assert word in captured.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (VALID + "chekpoint_seconds: 5\n", ["chekpoint_seconds", "checkpoint_seconds"]),
        (VALID + "checkpoint_seconds: -1\n", ["checkpoint_seconds", "-1", "must"]),
        (VALID + "device: tpu\n", ["device", "tpu", "cpu"]),
        ("systems: [{topics: [raw], spec: {name: Bad Name}}]\n", ["name", "Bad Name"]),
        ("systems: [{topics: [raw], spec: {name: a, key_pattern: '('}}]\n", ["key_pattern", "regular expression"]),
        ("systems: {\n", ["YAML"]),
        ("systems: []\n", ["systems", "at least 1"]),
    ],
)
def test_a_wrong_agent_setting_is_one_line_and_exit_2(
    text: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the key, the value and what is allowed; there is no traceback."""
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    assert run(["agent", "--config", str(path), "--check"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for word in words:
        assert word in error


def test_environment_overrides_the_file_and_flags_override_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The later of file, environment and option wins."""
    path = tmp_path / "agent.yaml"
    path.write_text("group: from-file\nsystems: [{topics: [raw], spec: {name: orders}}]\n")
    assert run(["agent", "--config", str(path), "--check"]) == 0
    assert "group from-file" in capsys.readouterr().out
    monkeypatch.setenv("FUSIONLOG_GROUP", "from-environment")
    assert run(["agent", "--config", str(path), "--check"]) == 0
    assert "group from-environment" in capsys.readouterr().out


def test_an_unknown_environment_key_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt variable is not silently ignored."""
    path = tmp_path / "agent.yaml"
    path.write_text("systems: [{topics: [raw], spec: {name: orders}}]\n")
    monkeypatch.setenv("FUSIONLOG_GRUOP", "x")
    assert run(["agent", "--config", str(path), "--check"]) == 2
    assert "gruop" in capsys.readouterr().err.lower()


def test_topics_are_listed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """`topics ls --json` prints one JSON document."""
    assert run(["topics", "ls", "--topic-prefix", "staging", "--json"]) == 0
    names = [topic["name"] for topic in json.loads(capsys.readouterr().out)]
    assert "staging.alerts.v1" in names


def test_a_broker_that_is_not_there_is_one_line_and_exit_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`models ls` against a closed port fails soon, with what to check."""
    monkeypatch.setattr(topic_reader, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(connection_check, "LISTEN_SECONDS", 0.3)
    assert run(["models", "ls", "--bootstrap-servers", "127.0.0.1:1"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Kafka at 127.0.0.1:1 must answer" in error
