from typing import Any

import msgspec

from bench.agreement import compare
from schemas.alert import Alert, AlertData, AlertWindow, Evidence, Explanation, ModelReference
from schemas.closed_window import ClosedWindow

MODEL = ModelReference(name="bgl", version=1, sha256="a" * 64)


def window(key: str = "R1", offsets: tuple[int, ...] = (0, 1), **changes: Any) -> ClosedWindow:
    """A closed window of the first run."""
    fields: dict[str, Any] = {
        "id": f"{key}-{offsets[0]}",
        "system": "bgl",
        "kind": "tumbling",
        "key": key,
        "topic": "raw",
        "partition": 0,
        "offsets": offsets,
        "event_hash": "h",
        "start_ms": 0,
        "end_ms": 1,
        "closed_by": "watermark",
        "score": 0.25,
        "threshold": 0.5,
        "anomalous": False,
        "model": MODEL,
    }
    return ClosedWindow(**(fields | changes))


def alert(alert_id: str = "R1-0", *, replay: bool = False, lines: int = 2) -> Alert:
    """An alert about a window."""
    data = AlertData(
        system="bgl",
        fingerprint="f",
        severity_text="ERROR",
        severity_number=17,
        score=0.9,
        threshold=0.5,
        reason=(),
        replay=replay,
        window=AlertWindow(kind="tumbling", key="R1", start="a", end="b", lines=lines, closed_by="watermark"),
        evidence=Evidence(),
        explanation=Explanation(knowledge="general"),
        model=MODEL,
    )
    return Alert(id=alert_id, source="s", subject="R1", time="t", data=data)


def test_a_replay_may_differ_in_scores_by_rounding_only() -> None:
    """Scores 1e-6 apart are identical, 1e-4 apart are not; the replay mark is no difference."""
    first = [window()]

    assert compare(first, [window(score=0.250001, replay=True)], ([], [])).identical
    assert not compare(first, [window(score=0.2501, replay=True)], ([], [])).identical


def test_a_replay_with_other_members_is_not_identical() -> None:
    """Another event, another closing reason, a missing or an added window: each is a difference."""
    first = [window()]

    assert not compare(first, [window(event_hash="other")], ([], [])).identical
    assert not compare(first, [window(closed_by="idle")], ([], [])).identical
    assert not compare(first, [], ([], [])).identical
    assert not compare(first, [window(), window("R2", (2,))], ([], [])).identical
    assert not compare([], [], ([], [])).identical


def test_a_record_repeated_after_a_crash_must_hold_the_same_bytes() -> None:
    """Two records of one id in the first run that differ are a failure even if the replay holds both."""
    twice = [window(), window(offsets=(0,))]

    assert not compare(twice, twice, ([], [])).identical


def test_alerts_must_be_the_same_ones() -> None:
    """Repeated alerts are one; an alert that only one run has, or another window under its id, is a difference."""
    windows = ([window()], [window(replay=True)])

    assert compare(*windows, ([alert(), alert()], [alert(replay=True)])).identical
    assert not compare(*windows, ([alert()], [])).identical
    assert not compare(*windows, ([alert()], [alert(lines=3)])).identical


def test_another_model_is_not_the_same_replay() -> None:
    """A replay by another model is not a replay with the same model, whatever its scores."""
    other = msgspec.structs.replace(MODEL, version=2)

    assert not compare([window()], [window(model=other)], ([], [])).identical
