from collections import Counter

import pytest

from detector.input.line_reader import LineReader
from loggen.engine import rng_of
from trainer.data.lines import SourceLine
from trainer.data.starter import SPEC, SYSTEMS, starter_lines, starter_source


@pytest.fixture(scope="module")
def lines() -> list[SourceLine]:
    """The starter source of seed 1."""
    return list(starter_source(1))


def test_a_seed_gives_the_same_bytes_and_another_seed_gives_others(lines: list[SourceLine]) -> None:
    """The starter source is a function of its seed."""
    assert lines == list(starter_source(1))
    assert [line.value for line in lines] != [line.value for line in starter_source(2)]


def test_lines_are_labelled_source_lines_in_order(lines: list[SourceLine]) -> None:
    """Each line is a source line with a label, offsets count up and times do not go back."""
    assert all(isinstance(line, SourceLine) and isinstance(line.label, bool) for line in lines)
    assert [line.offset for line in lines] == list(range(len(lines)))
    times = [line.timestamp for line in lines]
    assert times == sorted(times)


def test_the_spec_reads_time_key_and_message_of_every_line(lines: list[SourceLine]) -> None:
    """What the simulator wrote, the line reader takes apart again."""
    reader = LineReader(SPEC)
    keyed = 0
    for line in lines:
        [read] = reader.lines(line.value, 0)
        assert read.event_time_ms == line.timestamp
        assert (line.value or b"").decode().endswith(read.text)
        assert len(read.keys) <= 1
        keyed += len(read.keys)
    assert 0.9 < keyed / len(lines) < 1.0


def test_a_session_is_labelled_as_a_whole(lines: list[SourceLine]) -> None:
    """No key has both labels, and a tenth to a seventh of the sessions fail."""
    reader = LineReader(SPEC)
    labels: dict[str, set[bool | None]] = {}
    for line in lines:
        for key in reader.lines(line.value, 0)[0].keys:
            labels.setdefault(key, set()).add(line.label)
    assert all(len(found) == 1 for found in labels.values())
    failing = sum(found == {True} for found in labels.values())
    assert 0.10 < failing / len(labels) < 0.14


def test_every_system_fails_in_words_in_order_in_counts_and_by_a_missing_step() -> None:
    """Each kind of system teaches each sort of failure."""
    for system in SYSTEMS:
        service = system(rng_of(1, "test"), lambda stamp: stamp.text)
        assert {fault.shows for fault in service.faults} == {"words", "order", "count", "missing"}


def test_every_kind_of_failure_occurs() -> None:
    """No kind is left out of a seed's lines."""
    truth = {line.session: line.failure for line in starter_lines(5) if line.session}
    counts = Counter(kind for kind in truth.values() if kind)
    assert len(counts) > 20
    assert min(counts.values()) >= 6


def test_the_truth_is_not_in_the_text(lines: list[SourceLine]) -> None:
    """No line names its own failure kind."""
    kinds = {line.failure for line in starter_lines(1) if "_" in line.failure}
    text = b"\n".join(line.value or b"" for line in lines).decode()
    assert kinds
    assert not [kind for kind in kinds if kind in text]
