"""The checker notices planted losses, and passes what is allowed."""

from dataclasses import replace

import msgspec
import pytest

from schemas.alert import ModelReference
from schemas.closed_window import ClosedWindow
from testkit.checker import Evidence, OpenLines, audit, check
from testkit.reference_windows import ReferenceWindow, TopicLine, session_rule

RULE = session_rule(r"order=(\w+)", 10)
RAW = (
    TopicLine(0, 0, 1_000, b"order=a received"),
    TopicLine(0, 1, 1_001, b"order=a and order=b packed"),
    TopicLine(0, 2, 1_002, b"no key"),
    TopicLine(0, 3, 1_020, b"order=a came back"),
    TopicLine(1, 0, 1_000, b"order=c received"),
)
"""Four windows: a with offsets 0 and 1, b with 1, a again with 3, and c on the other partition."""


MODEL = ModelReference(name="orders", version=1, sha256="a" * 64)


def window(key: str, *offsets: int, partition: int = 0, anomalous: bool = False) -> ClosedWindow:
    """A closed window."""
    return ClosedWindow(
        id=f"{partition}-{key}-{offsets[0]}", system="orders", kind="session", key=key, topic="raw",
        partition=partition, offsets=offsets, event_hash=f"hash of {offsets}", start_ms=0, end_ms=1,
        closed_by="watermark", score=0.5, threshold=0.5, anomalous=anomalous, model=MODEL,
    )  # fmt: skip


WINDOWS = (window("a", 0, 1, anomalous=True), window("b", 1), window("a", 3), window("c", 0, partition=1))
WHOLE = Evidence(RAW, WINDOWS, alerts=["0-a-0"], committed={0: 4, 1: 1}, ends={0: 4, 1: 1})


def problems(evidence: Evidence) -> set[str]:
    """Names of the statements that do not hold."""
    return set(check(evidence, RULE).problems)


def test_whole_topics_have_no_problem() -> None:
    """Repeated records of windows and alerts are allowed and counted."""
    verdict = check(replace(WHOLE, windows=[*WINDOWS, *WINDOWS[:2]], alerts=["0-a-0", "0-a-0"]), RULE)
    assert verdict.problems == {}
    assert (verdict.windows, verdict.duplicate_windows, verdict.duplicate_alerts) == (4, 2, 1)


def test_a_dropped_window_is_noticed() -> None:
    """Its lines are nowhere, and the reference has a window that the topic lacks."""
    verdict = check(replace(WHOLE, windows=WINDOWS[:-1]), RULE)
    assert set(verdict.problems) == {"lost", "unaccounted"}
    assert (verdict.lost, verdict.unaccounted) == ([(1, "c", (0, 0))], [(1, "c", (0, 0))])


def test_a_window_with_a_missing_line_is_noticed() -> None:
    """The window is there under its id, but not whole."""
    verdict = check(replace(WHOLE, windows=[window("a", 0, anomalous=True), *WINDOWS[1:]]), RULE)
    assert set(verdict.problems) == {"partial", "unaccounted"}
    assert (verdict.partial, verdict.unaccounted) == ([(0, "a", (0, 0))], [(0, "a", (1, 0))])


def test_a_window_that_no_line_explains_is_noticed() -> None:
    """A window that starts where the reference has none is as wrong as one that lacks lines."""
    assert problems(replace(WHOLE, windows=[*WINDOWS, window("a", 2)])) == {"partial"}


def test_two_contents_under_one_id_are_noticed() -> None:
    """Other events at the same offsets, which no comparison of offsets would find."""
    other = msgspec.structs.replace(WINDOWS[1], event_hash="of other events")
    assert problems(replace(WHOLE, windows=[*WINDOWS, other])) == {"contradictory"}


def test_a_missing_alert_is_noticed() -> None:
    """Every anomalous window has its alert, and no alert stands alone."""
    assert problems(replace(WHOLE, alerts=[])) == {"missing_alerts"}
    assert problems(replace(WHOLE, alerts=["0-a-0", "0-b-1"])) == {"stray_alerts"}


@pytest.mark.parametrize("committed", [{0: 3, 1: 1}, {0: 4}])
def test_a_position_short_of_the_end_is_noticed(committed: dict[int, int]) -> None:
    """Also where a partition has no position at all."""
    assert problems(replace(WHOLE, committed=committed)) == {"behind"}


def test_an_offset_in_two_windows_is_noticed() -> None:
    """A line that was counted in two windows of its key."""
    verdict = check(replace(WHOLE, windows=[*WINDOWS, window("a", 1, 3)]), RULE)
    assert set(verdict.problems) == {"doubled", "partial"}
    assert verdict.doubled == [(0, "a", (1, 0)), (0, "a", (3, 0))]


def test_lines_may_be_in_the_named_snapshot_late_or_dead() -> None:
    """Each of the places that a line may be in besides a closed window counts; the others stay unaccounted."""
    evidence = replace(WHOLE, windows=WINDOWS[:2])
    opened = [OpenLines(0, "a", ((3, 0),)), OpenLines(1, "c", ((0, 0),))]
    assert check(evidence, RULE).unaccounted == [(0, "a", (3, 0)), (1, "c", (0, 0))]
    assert problems(replace(evidence, open=opened)) == set()
    assert check(replace(evidence, late=frozenset({(0, "a", (3, 0))})), RULE).unaccounted == [(1, "c", (0, 0))]
    assert check(replace(evidence, dead=frozenset({(1, 0)})), RULE).unaccounted == [(0, "a", (3, 0))]


def test_an_open_window_with_a_missing_line_is_noticed() -> None:
    """What the snapshot holds must be the reference's window, too."""
    raw = [*RAW, TopicLine(0, 4, 1_021, b"order=a came back again")]
    evidence = replace(
        WHOLE, raw=raw, windows=[WINDOWS[0], WINDOWS[1], WINDOWS[3]], committed={0: 5, 1: 1}, ends={0: 5, 1: 1}
    )
    assert problems(replace(evidence, open=[OpenLines(0, "a", ((3, 0), (4, 0)))])) == set()
    assert problems(replace(evidence, open=[OpenLines(0, "a", ((3, 0),))])) == {"lost", "unaccounted"}


def reference(key: str, *offsets: int) -> ReferenceWindow:
    """A window of the reference."""
    return ReferenceWindow(key, 0, tuple((offset, 0) for offset in offsets), 0, 1)


def test_equal_windows_are_neither_lost_nor_partial() -> None:
    """Windows that are those of the reference, one of them sent twice, pass; the repetition is counted."""
    found = audit([window("a", 0, 1), window("b", 2), window("a", 0, 1)], [reference("a", 0, 1), reference("b", 2)])
    assert (found.lost, found.partial, found.repeated, found.contradictory) == ([], [], 1, 0)


def test_a_window_without_some_of_its_lines_is_partial() -> None:
    """Fewer lines than the reference has from the same first line, and a fragment of its middle, both count."""
    found = audit([window("a", 0), window("a", 1)], [reference("a", 0, 1)])
    assert (found.lost, found.partial) == ([], [(0, "a", (0, 0)), (0, "a", (1, 0))])


def test_repeated_records_that_differ_are_partial() -> None:
    """A whole window does not hide a second record of it that lacks a line."""
    found = audit([window("a", 0, 1), window("a", 0)], [reference("a", 0, 1)])
    assert (found.lost, found.partial, found.contradictory) == ([], [(0, "a", (0, 0))], 1)


def test_lines_of_one_record_are_told_apart() -> None:
    """A window that holds another line of the same record is not the reference's window."""
    raw = [TopicLine(0, 0, 1, b"order=a", index=0), TopicLine(0, 0, 1, b"order=a", index=1)]
    whole = msgspec.structs.replace(window("a", 0, 0), indexes=(0, 1))
    evidence = Evidence(raw, [whole], alerts=[], committed={0: 1}, ends={0: 1})
    assert problems(evidence) == set()
    assert check(replace(evidence, windows=[window("a", 0)]), RULE).unaccounted == [(0, "a", (0, 1))]
