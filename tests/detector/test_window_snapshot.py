"""Snapshots of open windows: exact, and refused when they are not what they should be."""

import pytest

from detector.errors import SnapshotError
from detector.system import WindowSpec
from detector.windowing.cutter import WindowCutter

NOW_MS = 1_700_000_000_000
START_MS = NOW_MS - 100_000
SESSION = WindowSpec(kind="session", idle_seconds=10, lateness_seconds=5)
TUMBLING = WindowSpec(kind="tumbling", size_seconds=10, lateness_seconds=5)


def cutter(spec: WindowSpec) -> WindowCutter:
    """A cutter whose clock stands still."""
    return WindowCutter("sys", spec, "raw", 3, now_ms=lambda: NOW_MS)


def feed(target: WindowCutter, *records: tuple[int, int, tuple[str, ...]]) -> WindowCutter:
    """The cutter after these records of (offset, time, keys)."""
    for offset, time_ms, keys in records:
        target.add(offset, time_ms, keys, "e", "text")
    return target


def at(seconds: float) -> int:
    """Milliseconds at some seconds after the start."""
    return START_MS + round(seconds * 1000)


@pytest.mark.slow
def test_a_hundred_thousand_open_windows_are_carried_by_a_snapshot() -> None:
    """Many open windows neither slow the emission of others down to a scan nor get lost in a snapshot."""
    spec = WindowSpec(kind="session", idle_seconds=86_400)
    target = cutter(spec)
    for offset in range(100_000):
        target.add(offset, START_MS, (f"k{offset}",), "e", "t")
    restored = WindowCutter.restore(target.snapshot(), "sys", spec, "raw", 3, now_ms=lambda: NOW_MS)
    closed = []
    for offset in range(100_000, 120_000):  # a scan of all open windows a line would be 2 billion steps
        restored.add(offset, START_MS + offset, ("hot",), "e", "t")
        closed += restored.take_closed()
    assert [(one.key, len(one.offsets)) for one in closed] == [("hot", 512)] * (20_000 // 512)
    restored.flush()
    assert {one.key for one in restored.take_closed()} == {f"k{number}" for number in range(100_000)} | {"hot"}


def test_a_snapshot_that_was_altered_anywhere_is_refused() -> None:
    """One flipped bit, or a missing end, in a snapshot is an error, never another state."""
    body = feed(cutter(SESSION), (0, at(0), ("a",)), (1, at(1), ("b",))).snapshot()
    for index in range(len(body)):
        altered = bytearray(body)
        altered[index] ^= 0x01
        for broken in (bytes(altered), body[:index]):
            with pytest.raises(SnapshotError):
                WindowCutter.restore(broken, "sys", SESSION, "raw", 3)


@pytest.mark.parametrize(
    ("system", "spec", "topic", "partition"),
    [
        ("other", SESSION, "raw", 3),
        ("sys", TUMBLING, "raw", 3),
        ("sys", SESSION.model_copy(update={"idle_seconds": 11}), "raw", 3),
        ("sys", SESSION, "other", 3),
        ("sys", SESSION, "raw", 4),
    ],
)
def test_a_snapshot_of_something_else_is_refused(system: str, spec: WindowSpec, topic: str, partition: int) -> None:
    """A snapshot of another system, window rule or partition is not taken for this one's."""
    body = cutter(SESSION).snapshot()
    with pytest.raises(SnapshotError, match="must be of"):
        WindowCutter.restore(body, system, spec, topic, partition)


def test_a_snapshot_of_another_version_says_what_to_do() -> None:
    """The error for a snapshot of a future version names both versions and the ways out."""
    body = bytearray(cutter(SESSION).snapshot())
    body[3] = 9
    with pytest.raises(SnapshotError, match=r"version 1, got 9: .*restart the windows"):
        WindowCutter.restore(bytes(body), "sys", SESSION, "raw", 3)


def test_a_smaller_lateness_after_a_restart_closes_what_it_has_passed() -> None:
    """Lateness may change between runs; what the new watermark has passed is closed at once."""
    body = feed(cutter(SESSION), (0, at(0), ("a",)), (1, at(12), ())).snapshot()
    spec = SESSION.model_copy(update={"lateness_seconds": 0})
    (window,) = WindowCutter.restore(body, "sys", spec, "raw", 3).take_closed()
    assert (window.key, window.closed_by) == ("a", "watermark")
