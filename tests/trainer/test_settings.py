"""Settings of a training run."""

from pathlib import Path
from typing import Any

import pytest

from broker.errors import SettingsError
from fusionlog.settings.load import load_settings
from trainer.replay_range import Bound, parse_bound
from trainer.settings import TrainerSettings, system_name


def load(**values: Any) -> TrainerSettings:
    """Settings from flags alone."""
    return load_settings(TrainerSettings, None, values, {})


def test_a_target_is_enough() -> None:
    """The starter is the source, the name comes from the path, the heuristic answers as often as asked."""
    settings = load(target={"path": "/logs/My App.log.xz"})
    assert settings.source.path == "starter"
    assert settings.source.spec is None
    assert settings.target.spec.name == "my-app"
    assert settings.labeller == "heuristic"
    assert settings.budget == 20_000
    assert settings.work_dir == Path(".fusionlog/my-app")


def test_answers_that_cost_money_are_fewer() -> None:
    """The budget's default depends on the labeller, a given one does not."""
    assert load(target={"path": "a"}, labeller="openai").budget == 1_000
    assert load(target={"path": "a"}, labeller="openai", budget=77).budget == 77


def test_a_partial_system_keeps_the_name_of_its_path() -> None:
    """A layout alone does not make the name necessary."""
    settings = load(target={"path": "kafka://raw.orders", "spec": {"key_pattern": "x"}})
    assert settings.target.topic == "raw.orders"
    assert settings.target.spec.name == "raw-orders"
    assert load(target={"path": "a", "spec": {"name": "b"}}).target.spec.name == "b"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "target must be given, got nothing"),
        ({"target": {"path": "a"}, "bugdet": 3}, "bugdet must be a known key"),
        ({"target": {"path": "a"}, "budget": 15}, "budget must be greater than or equal to 16, got 15"),
        ({"target": {"path": "kafka://"}}, "target.path must be a file or kafka://<topic>"),
        ({"target": {"path": "a", "from": "offset:1"}}, "target.from must be left out unless path is kafka://<topic>"),
        ({"target": {"path": "kafka://a", "to": "soon"}}, "target.to must be an ISO time"),
        ({"target": {"path": "a"}, "labeller": "recorded"}, "recorded.answers must be given"),
        ({"target": {"path": "a"}, "labeller": "llm"}, "labeller must be one of 'heuristic', 'openai' or 'recorded'"),
        ({"target": {"path": "a"}, "publish": False}, "out (--out FOLDER) must be given when publish is false"),
        ({"target": {"path": "a"}, "source": {"spec": {"layout": "plain"}}}, "must be left out when path is 'starter'"),
        ({"target": {"path": "a"}, "topic_prefix": "a b"}, "topic_prefix: topic prefix must be 1 to 100"),
        ({"target": {"path": "a", "labels": "x"}}, "target.labels must be a known key"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(values: dict[str, Any], message: str) -> None:
    """Key, value and what is allowed; a target has no place for labels."""
    with pytest.raises(SettingsError) as caught:
        load(**values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/HDFS_5k.log.xz", "hdfs-5k"), ("kafka://raw.a_b", "raw-a-b"), ("/logs/", "logs"), ("___", "system")],
)
def test_names_are_made_from_paths(path: str, name: str) -> None:
    """A name is what a system may be called: lower case, digits and dashes."""
    assert system_name(path) == name


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("offset:12", Bound(offset=12)),
        ("p0=5, p3=7", Bound(offsets={0: 5, 3: 7})),
        ("1970-01-01T00:00:01.5Z", Bound(time_ms=1_500)),
        ("1970-01-01T01:00:00+01:00", Bound(time_ms=0)),
        ("1970-01-02", Bound(time_ms=86_400_000)),
    ],
)
def test_bounds_are_offsets_or_times(text: str, bound: Bound) -> None:
    """A time without a zone is UTC."""
    assert parse_bound(text) == bound


@pytest.mark.parametrize("text", ["", "offset:", "offset:-1", "p0=1,x", "yesterday", "p=1"])
def test_other_bounds_are_refused(text: str) -> None:
    """The three ways are named."""
    with pytest.raises(ValueError, match="must be an ISO time"):
        parse_bound(text)
