"""Settings from file, environment and flags."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from broker.errors import SettingsError
from fusionlog.settings.load import load_settings

Values = dict[str, Any]


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    servers: str = "default:1"
    count: int = Field(default=1, ge=1)
    kind: Literal["session", "tumbling"] = "session"
    sasl_password: SecretStr | None = None
    group: str = Field(default="", pattern="^[a-z]*$")


class Outer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: Inner = Inner()
    systems: tuple[Inner, ...] = ()
    since: str | None = Field(default=None, alias="from")


class AtLeastOne(BaseModel):
    model_config = ConfigDict(extra="forbid")

    systems: tuple[Inner, ...] = Field(min_length=1)


def load(
    tmp_path: Path, text: str = "", overrides: Values | None = None, environ: Mapping[str, str] | None = None
) -> Outer:
    """Settings from a file of that text."""
    path = tmp_path / "settings.yaml"
    path.write_text(text, "utf-8")
    return load_settings(Outer, path, overrides, environ or {})


def refusal(
    tmp_path: Path, text: str = "", overrides: Values | None = None, environ: Mapping[str, str] | None = None
) -> str:
    """The one line that refuses the settings."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, overrides, environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    """Each layer replaces single values of the ones before and leaves the others."""
    text = "kafka: {servers: file:1, count: 2, kind: tumbling}"
    settings = load(
        tmp_path,
        text,
        {"kafka": {"servers": "flag:1"}},
        {"FUSIONLOG_KAFKA__SERVERS": "env:1", "FUSIONLOG_KAFKA__COUNT": "3"},
    )
    assert settings.kafka == Inner(servers="flag:1", count=3, kind="tumbling")


def test_a_flag_that_was_not_given_changes_nothing(tmp_path: Path) -> None:
    """None among the overrides stands for an option that was left out."""
    assert load(tmp_path, "kafka: {count: 2}", {"kafka": {"count": None}, "from": None}).kafka.count == 2


def test_no_file_and_no_environment_give_the_defaults() -> None:
    """Every layer may be absent."""
    assert load_settings(Outer, None, None, {}) == Outer()


def test_the_environment_may_hold_lists_and_null(tmp_path: Path) -> None:
    """A value that starts with [ or { is YAML, and null is none."""
    environ = {"FUSIONLOG_SYSTEMS": '[{"count": 4}]', "FUSIONLOG_FROM": "null"}
    settings = load(tmp_path, "from: noon", None, environ)
    assert settings.systems == (Inner(count=4),)
    assert settings.since is None


def test_dates_in_a_file_stay_text(tmp_path: Path) -> None:
    """YAML's own idea of a date does not come between the file and the settings."""
    assert load(tmp_path, "from: 2026-01-31T08:00:00Z").since == "2026-01-31T08:00:00Z"


def test_a_wrong_value_is_refused_with_key_value_choices_and_place(tmp_path: Path) -> None:
    """The line names the key, the value, what is allowed and the file."""
    line = refusal(tmp_path, "kafka: {kind: sesion}")
    assert "kafka.kind must be one of 'session' or 'tumbling', got 'sesion'" in line
    assert str(tmp_path) in line


def test_an_unknown_key_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """A typing error does not pass silently, and the right word is offered."""
    line = refusal(tmp_path, "kafka: {server: a}")
    assert "kafka.server must be a known key (servers, count, kind, sasl_password, group)" in line
    assert "did you mean 'servers'?" in line


def test_an_unknown_environment_variable_of_ours_is_refused(tmp_path: Path) -> None:
    """The environment is held to the same rule as the file, and is named."""
    line = refusal(tmp_path, environ={"FUSIONLOG_KAFKA__SERVER": "a"})
    assert "kafka.server" in line
    assert "FUSIONLOG_KAFKA__SERVER" in line


@pytest.mark.parametrize("name", ["FUSIONLOG_KAFKA_SASL_PASSWORD", "FUSIONLOG_KAFKA_SERVERS"])
def test_a_variable_with_one_underscore_is_answered_with_two(tmp_path: Path, name: str) -> None:
    """The usual slip in a variable's name is answered with the name that was meant."""
    meant = name.replace("KAFKA_", "KAFKA__")
    assert f"did you mean {meant}?" in refusal(tmp_path, environ={name: "a"})


def test_a_mistyped_key_is_reported_before_the_missing_one(tmp_path: Path) -> None:
    """`target must be given` would send a person who gave `targt` looking in the wrong place."""
    path = tmp_path / "settings.yaml"
    path.write_text("system: [{}]\n")
    with pytest.raises(SettingsError, match=r"system must be a known key .*did you mean 'systems'"):
        load_settings(AtLeastOne, path, environ={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kafka: {count: many}", "kafka.count must be a whole number, got 'many'"),
        ("kafka: {count: 1.5}", "kafka.count must be a whole number, got 1.5"),
        ("kafka: {servers: 3}", "kafka.servers must be text, got 3"),
        ("kafka: {group: a b}", "kafka.group must match ^[a-z]*$, got 'a b'"),
        ("systems: 3", "systems must be a list, got 3"),
    ],
)
def test_pydantics_own_words_are_put_into_ours(tmp_path: Path, text: str, message: str) -> None:
    """Every refusal is `x must …, got …`."""
    assert message in refusal(tmp_path, text)


def test_kubernetes_service_links_are_no_settings(tmp_path: Path) -> None:
    """A Service named fusionlog-agent adds variables with our prefix to every pod."""
    links = {
        "FUSIONLOG_AGENT_SERVICE_HOST": "10.0.0.1",
        "FUSIONLOG_AGENT_SERVICE_PORT_HTTP": "8080",
        "FUSIONLOG_AGENT_PORT": "tcp://10.0.0.1:8080",
        "FUSIONLOG_AGENT_PORT_8080_TCP_ADDR": "10.0.0.1",
    }
    assert load(tmp_path, environ=links) == Outer()


def test_secrets_are_not_repeated_in_errors(tmp_path: Path) -> None:
    """A password under a misspelt key does not end up in a log."""
    line = refusal(tmp_path, "kafka: {sasl_pasword: hunter2}")
    assert "hunter2" not in line
    assert "kafka.sasl_pasword" in line
    assert "hunter2" not in refusal(tmp_path, "kafka: [{sasl_password: hunter2}]")
    assert "hunter2" not in refusal(tmp_path, "kafka: {sasl_pwd: hunter2}")
    assert "hunter2" not in refusal(tmp_path, "kafka: {sasl_jaas_config: 'x password=\"hunter2\"'}")


def test_several_wrong_settings_are_counted(tmp_path: Path) -> None:
    """The first is reported, the others are counted."""
    line = refusal(tmp_path, "systems: [{count: 0}, {kind: x}]")
    assert "systems.0.count must be greater than or equal to 1, got 0" in line
    assert "1 more setting(s) are wrong" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kafka: [", "must be YAML"),
        ("kafka: {}\nkafka: {}", "'kafka' twice in line 2"),
        ("- a", "must hold 'key: value' lines, got a list"),
        ("kafka: 3", "kafka must hold keys (servers, count"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Broken YAML, repeated keys and wrong shapes say what they are."""
    assert message in refusal(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(SettingsError, match=r"--config must be a readable file, got .*absent\.yaml.*No such file"):
        load_settings(Outer, tmp_path / "absent.yaml", None, {})


def test_a_broken_list_in_the_environment_is_refused(tmp_path: Path) -> None:
    """The variable is named."""
    assert "FUSIONLOG_SYSTEMS must be YAML or JSON" in refusal(tmp_path, environ={"FUSIONLOG_SYSTEMS": "[{"})


def test_a_list_short_of_its_wrong_item_is_not_a_second_mistake(tmp_path: Path) -> None:
    """One mistake inside a system is counted as one."""
    path = tmp_path / "settings.yaml"
    path.write_text("systems: [{kind: sesion}]\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(AtLeastOne, path, environ={})
    assert "sesion" in str(caught.value)
    assert "more setting" not in str(caught.value)
