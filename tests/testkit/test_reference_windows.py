"""The reference windows, on lines whose windows are known."""

from dataclasses import replace

import pytest

from testkit.errors import TestkitError
from testkit.reference_windows import RULES, ReferenceWindow, TopicLine, reference_windows, session_rule

HDFS, BGL = RULES["hdfs"], RULES["bgl"]


def hdfs(offset: int, clock: str, block: str = "blk_1", partition: int = 0) -> TopicLine:
    """A record of HDFS."""
    return TopicLine(partition, offset, 0, f"081109 {clock} 143 INFO dfs.DataNode: Served {block} to x".encode())


def bgl(offset: int, seconds: int, node: str = "R1") -> TopicLine:
    """A record of BGL, as produced: without its label."""
    return TopicLine(0, offset, 0, f"{seconds} 2005.06.03 {node} 2005-06-03-15.42.50 {node} RAS KERNEL INFO x".encode())


def members(cuts: list[ReferenceWindow]) -> list[tuple[str, tuple[int, ...]]]:
    """Key and offsets of each window."""
    return [(window.key, window.offsets) for window in cuts]


def test_a_session_breaks_only_beyond_the_idle_gap() -> None:
    """A gap of exactly `idle` keeps a session together, one second more breaks it."""
    records = [hdfs(0, "000000"), hdfs(1, "000010"), hdfs(2, "000021")]

    assert members(reference_windows(records, replace(HDFS, gap_ms=10_000))) == [("blk_1", (0, 1)), ("blk_1", (2,))]


def test_a_line_goes_to_every_block_it_names() -> None:
    """A line that names two blocks, one of them twice, is in two windows, once each."""
    records = [hdfs(0, "000000", "blk_1 blk_-2 blk_1")]

    assert sorted(members(reference_windows(records, HDFS))) == [("blk_-2", (0,)), ("blk_1", (0,))]


def test_partitions_are_cut_apart() -> None:
    """The same key in two partitions makes two windows, since offsets of partitions do not compare."""
    records = [hdfs(0, "000000", partition=1), hdfs(0, "000000", partition=0)]

    assert [(window.partition, window.offsets) for window in reference_windows(records, HDFS)] == [(0, (0,)), (1, (0,))]


def test_a_tumbling_window_is_a_node_and_a_minute() -> None:
    """Lines of one node in one minute of the epoch are together, those of the next minute or node are not."""
    records = [bgl(0, 1117838519), bgl(1, 1117838520), bgl(2, 1117838579), bgl(3, 1117838579, "R2")]

    cuts = reference_windows(records, BGL)

    assert members(cuts) == [("R1", (0,)), ("R1", (1, 2)), ("R2", (3,))]
    assert (cuts[1].start_ms, cuts[1].end_ms) == (1117838520000, 1117838579000)


def test_long_windows_are_cut_into_chunks() -> None:
    """A window is cut after `max_lines` lines, in the order of offsets."""
    records = [bgl(offset, 1117838520) for offset in range(5)]

    assert [window.offsets for window in reference_windows(records, replace(BGL, max_lines=2))] == [
        (0, 1),
        (2, 3),
        (4,),
    ]


def test_lines_without_a_key_are_in_no_window() -> None:
    """The record that ends a partition names no node and no block."""
    end = TopicLine(0, 1, 1_226_262_932_000, b"end of the recording")

    assert members(reference_windows([hdfs(0, "000000"), end], HDFS)) == [("blk_1", (0,))]


def test_times_that_go_back_are_refused() -> None:
    """The plain rules hold for ordered logs alone, so any other log is an error and no wrong verdict."""
    with pytest.raises(TestkitError, match="offset 1 of partition 0"):
        reference_windows([bgl(0, 1117838521), bgl(1, 1117838520)], BGL)


def test_lines_of_one_record_are_told_apart_by_their_index() -> None:
    """A record that holds two lines gives two places of one offset; keys and times are the rule's."""
    rule = session_rule(r"order=(\w+)", 10)
    records = [TopicLine(0, 4, 1, b"order=a", index=1), TopicLine(0, 4, 1, b"order=a and order=b", index=0)]

    windows = reference_windows(records, rule)

    assert [(window.key, window.places) for window in windows] == [("a", ((4, 0), (4, 1))), ("b", ((4, 0),))]
    assert windows[0].offsets == (4, 4)
