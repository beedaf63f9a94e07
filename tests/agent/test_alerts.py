"""Alerts: a function of window, verdict and model."""

import json
from typing import Any

import pytest

from agent.models.serving import ModelServing, Reasons, Verdict
from agent.stages.alerts import build_alert, fingerprint, late_line, rfc3339
from agent.stages.detect import SystemDetection
from agent.stages.stage import PlainRecord, TopicRole
from agent.testing import records_of
from detector.input import redact as redaction
from detector.model.explain import Contribution
from detector.testing import ANOMALOUS_LINES, SYSTEM, tiny_model
from detector.windowing.cutter import WindowCutter
from detector.windowing.state import Late
from schemas.codec import encode


def reasons(*weights: float) -> Reasons:
    """Reasons whose contributions have these weights, one template each, in order."""
    names = "abcdefgh"
    found = [Contribution(names[at], f"text {names[at]}", weight, False, 1) for at, weight in enumerate(weights)]
    return Reasons(("sequence_model",), tuple(found), "proprietary")


def test_an_alert_names_window_model_and_evidence_without_secrets() -> None:
    """It holds identity, source range and severity, and no password or address from samples and templates."""
    model = ModelServing(tiny_model())
    partition = SystemDetection(SYSTEM, model, source="/fusionlog/test").stage("raw", 2)
    texts = [*ANOMALOUS_LINES, "order=17 login with password=hunter2 from 10.1.2.3"]
    partition.process([PlainRecord(at + 40, text.encode(), 1_700_000_000_000 + at) for at, text in enumerate(texts)])
    output = partition.close_idle()
    (alert,), (window,) = records_of(output, TopicRole.ALERTS), records_of(output, TopicRole.WINDOWS)
    assert (alert.id, alert.subject, alert.source) == (window.id, "17", "/fusionlog/test/orders")
    assert alert.time == "2023-11-14T22:13:20.002Z"
    data = alert.data
    assert (data.evidence.source[0].first, data.evidence.source[0].last, data.window.lines) == (40, 42, 3)
    assert data.score >= data.threshold
    assert (data.severity_text, data.severity_number) in {("ERROR", 17), ("WARN", 13)}
    payload = encode(alert).decode()
    assert "hunter2" not in payload
    assert "10.1.2.3" not in payload
    assert json.loads(payload)["data"]["model"]["version"] == 1


def test_fingerprints_group_by_what_contributes() -> None:
    """The order and the last digits of contributions do not matter; the templates that carry the score do."""
    assert fingerprint("s", reasons(0.5, 0.3)) == fingerprint("s", reasons(0.3 + 1e-9, 0.5))
    assert fingerprint("s", reasons(0.5, 0.3)) != fingerprint("s", reasons(0.5, 0.0))
    assert fingerprint("s", reasons(0.5)) != fingerprint("t", reasons(0.5))
    assert fingerprint("s", reasons()) == fingerprint("s", reasons())


def test_times_are_rfc_3339_even_beyond_the_calendar() -> None:
    """Milliseconds are kept, and an absurd time does not raise."""
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(10**17).startswith("9999-")
    assert rfc3339(-(10**17)).startswith("0001-")


def test_the_summary_says_when_no_single_event_explains_the_score() -> None:
    """Without a contribution the summary names order and number."""
    cutter = WindowCutter("orders", SYSTEM.window, "raw", 0)
    cutter.add(0, 0, ["k"], "a", "text a")
    cutter.flush()
    (window,) = cutter.take_closed()
    alert = build_alert(window, Verdict(0.7, reasons(0.0)), ModelServing(tiny_model()), source="/x")
    assert "no event carries the score alone" in alert.data.explanation.summary


def test_samples_of_what_carries_the_score_come_first() -> None:
    """An operator reads the line of the strongest evidence first, not the window's first line."""
    cutter = WindowCutter("orders", SYSTEM.window, "raw", 0)
    for offset, name in enumerate("cba"):
        cutter.add(offset, offset, ["k"], name, f"line {name}")
    cutter.flush()
    (window,) = cutter.take_closed()
    alert = build_alert(window, Verdict(0.7, reasons(3.0, 1.0)), ModelServing(tiny_model()), source="/x")
    assert alert.data.evidence.samples == ("line a", "line b", "line c")


def test_a_line_that_is_late_for_several_keys_is_redacted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key has a record of its own; a flood of late lines costs one redaction a line."""
    rules_for = redaction._rules_for
    redacted: list[str] = []

    def noted(text: str) -> Any:
        redacted.append(text)
        return rules_for(text)

    monkeypatch.setattr(redaction, "_rules_for", noted)
    lates = [Late(key, at, 1, 2, "e", f"line {at} of user=bob") for at in range(3) for key in "abc"]
    texts = [late_line(late, "s", "raw", 0).text for late in lates]
    assert texts == [f"line {at} of user=<redacted-user>" for at in range(3) for _ in "abc"]
    assert redacted == [f"line {at} of user=bob" for at in range(3)]
