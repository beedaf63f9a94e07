import pytest

from bench.metrics import Wrong, average_precision, keyword, most_wrong, new_event
from testkit.confusion import confusion


def test_counts_of_windows_become_precision_and_recall() -> None:
    """Two hits, one false alarm, two misses, three windows that are neither."""
    predicted = [True, True, True, False, False, False, False, False]
    truth = [True, True, False, True, True, False, False, False]

    found = confusion(predicted, truth)

    assert (found.hits, found.false_alarms, found.misses, found.quiet) == (2, 1, 2, 3)
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(1 / 2)
    assert found.f1 == pytest.approx(4 / 7)
    assert found.false_positive_rate == pytest.approx(1 / 4)


def test_nothing_found_is_zero_and_no_error() -> None:
    """Without alerts and anomalies every ratio is 0."""
    found = confusion([False], [False])

    assert (found.precision, found.recall, found.f1) == (0.0, 0.0, 0.0)
    assert average_precision([0.3], [False]) == 0.0


def test_average_precision_takes_ties_together() -> None:
    """A perfect order gives 1; equal scores for all give the prevalence, in whatever order they come."""
    assert average_precision([0.9, 0.8, 0.1], [True, True, False]) == pytest.approx(1.0)
    assert average_precision([0.5] * 4, [True, False, False, False]) == pytest.approx(0.25)
    assert average_precision([0.5] * 4, [False, False, False, True]) == pytest.approx(0.25)
    assert average_precision([0.9, 0.5, 0.1], [False, True, True]) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_wrong_windows_are_grouped_by_their_events() -> None:
    """The most frequent errors come first; right verdicts, and order and repetition of events, do not count."""
    events = [["b", "a"], ["a", "b", "b"], ["c"], ["a", "b"], ["c"]]

    found = most_wrong(events, [True, True, False, True, True], [False, False, True, True, True])

    assert found == [Wrong("false alarm", ("a", "b"), 2), Wrong("miss", ("c",), 1)]
    assert most_wrong(events, [True] * 5, [False] * 5, limit=1) == [Wrong("false alarm", ("a", "b"), 3)]


@pytest.mark.parametrize("line", [b"x WARN y", b"RAS KERNEL FATAL data TLB", b"got java.io.IOException: x", b"failed"])
def test_severities_and_words_are_keywords(line: bytes) -> None:
    """A level of warning or above is a keyword, and so are words of failure."""
    assert keyword([b"all is well", line])


def test_quiet_lines_hold_no_keyword() -> None:
    """Information is none, and neither is a word that only contains a keyword."""
    assert not keyword([b"x INFO y", b"warnings", b"terrors"])


def test_new_events_are_those_the_history_lacks() -> None:
    """One unknown event is enough."""
    assert new_event(["1", "9"], {"1", "2"})
    assert not new_event(["1", "2"], {"1", "2"})
