"""The detector's windows against the reference, on all the real lines, without Kafka."""

import zlib
from pathlib import Path

import pytest

from bench import datasets
from detector.input.line_reader import LineReader
from detector.system import SystemSpec
from detector.windowing.cutter import WindowCutter
from testkit.reference_windows import RULES, TopicLine, reference_windows

pytestmark = pytest.mark.shared


@pytest.mark.parametrize(("system", "windows"), [("bgl", 47_216), ("hdfs", 55)])
def test_the_detector_cuts_real_lines_as_the_reference_does(shared_data: Path, system: str, windows: int) -> None:
    """Same keys, offsets, starts and ends for the live part of either target; no line is late."""
    target = datasets.target(shared_data, system)
    spec = SystemSpec.model_validate(datasets.SPECS[target.name])
    reader = LineReader(spec)
    cutters = [WindowCutter(system, spec.window, "raw", partition) for partition in range(target.partitions)]
    offsets = [0] * target.partitions
    records = []
    for line in target.live:
        partition = zlib.crc32(line.key) % target.partitions
        records.append(TopicLine(partition, offsets[partition], line.time_ms, line.value))
        [read] = reader.lines(line.value, 0)
        assert read.event_time_ms is not None
        cutters[partition].add(offsets[partition], read.event_time_ms, read.keys, "event", read.text)
        offsets[partition] += 1
    for cutter in cutters:
        cutter.flush()

    found = {
        (window.key, window.partition, window.offsets, window.start_ms, window.end_ms)
        for cutter in cutters
        for window in cutter.take_closed()
    }
    expected = reference_windows(records, RULES[system])

    assert not any(cutter.take_late() for cutter in cutters)
    assert len(expected) == windows
    assert found == {(one.key, one.partition, one.offsets, one.start_ms, one.end_ms) for one in expected}
