"""From line to event: a function of line and model, whatever has been parsed before; and how well it groups."""

from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.parse import SAMPLES, grouping_accuracy, learn, read_sample, template_miner
from detector.parsing.masking import Masker
from detector.parsing.parser import Event, LineParser
from detector.parsing.templates import Template, TemplateMatcher, template_id

MATCHER = TemplateMatcher(map(Template.of, ["open <*> <NUM>", "open door <NUM>"]))


def test_a_line_that_fits_is_its_template() -> None:
    """The event of a matched line is the template, not novel."""
    expected = Event(template_id("open door <NUM>"), "open door <NUM>", novel=False)
    assert LineParser(Masker(), MATCHER).event("open door 17") == expected


def test_a_line_that_fits_nothing_is_its_own_masked_text() -> None:
    """The event of an unmatched line is made of the line alone, so workers agree on it without learning."""
    expected = Event(template_id("closed door <NUM>"), "closed door <NUM>", novel=True)
    assert LineParser(Masker(), MATCHER).event("closed  door 17") == expected


@given(st.lists(st.sampled_from(["open door 1", "open gate 2", "x", "y 3", "z z", ""]), max_size=20))
def test_the_cache_changes_no_result(texts: list[str]) -> None:
    """A parser with room for one event gives the results of one with room for all, and of one without earlier lines."""
    small, large = LineParser(Masker(), MATCHER), LineParser(Masker(), MATCHER)
    for text in texts:
        with patch("detector.parsing.parser.MAX_CACHED", 1):
            event = small.event(text)
        assert event == large.event(text) == LineParser(Masker(), MATCHER).event(text)
    assert len(small._events) <= 1


def test_grouping_accuracy_counts_whole_groups() -> None:
    """A line counts only where its group is exactly the true one."""
    assert grouping_accuracy("aabbc", "xxyyz") == 1.0
    assert grouping_accuracy("aabbc", "xxyzz") == 0.4


@pytest.mark.parametrize(("name", "at_least"), [("HDFS", 0.995), ("BGL", 0.96), ("OpenStack", 0.93)])
def test_grouping_is_no_worse_than_that_of_drain3(shared_data: Path, name: str, at_least: float) -> None:
    """On real lines fused masks and frozen templates group no worse than drain3, and every learned line matches."""
    assert name in SAMPLES
    lines, truth = read_sample(shared_data, name)
    parser = LineParser(Masker(), learn(lines, Masker()))
    events = [parser.event(line) for line in lines]
    miner = template_miner()
    theirs = grouping_accuracy([miner.add_log_message(line)["cluster_id"] for line in lines], truth)
    ours = grouping_accuracy([event.id for event in events], truth)
    assert ours >= max(theirs, at_least)
    assert not any(event.novel for event in events)
