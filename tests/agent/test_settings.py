"""Settings of the agent: unknown and contradicting ones are refused by name."""

from typing import Any

import pytest
from pydantic import ValidationError

from agent.settings import AgentSettings

SYSTEM = {"topics": ["raw"], "spec": {"name": "orders"}}


def test_defaults_are_whole() -> None:
    """A system alone is enough; topics follow the prefix."""
    settings = AgentSettings(systems=[SYSTEM], topic_prefix="tenant")
    assert settings.topics.alerts == "tenant.alerts.v1"
    assert settings.raw_topics == ("raw",)
    assert (settings.start, settings.on_lost_state, settings.http.host) == ("earliest", "stop", "127.0.0.1")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"systems": []}, "systems"),
        ({"systems": [SYSTEM, SYSTEM]}, "systems.spec.name must be distinct"),
        ({"systems": [SYSTEM, {**SYSTEM, "spec": {"name": "b"}}]}, "systems.topics must be distinct"),
        ({"topic_prefix": "a b"}, "topic prefix must be"),
        ({"checkpoint_second": 3}, "checkpoint_second"),
        ({"session_timeout_seconds": 1}, "session_timeout_seconds"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], problem: str) -> None:
    """The error names the key that is wrong."""
    with pytest.raises(ValidationError, match=problem):
        AgentSettings(**{"systems": [SYSTEM], **changes})
