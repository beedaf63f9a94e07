import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.datasets import blocks_of, read_lines
from bench.errors import BenchError, MisuseError
from bench.recorded import AnswerBook, PublishedEvents, RecordedAnswer, signature_of, write_answers


def book_of(path: Path, *rows: Mapping[str, object]) -> AnswerBook:
    """Answers written to a file and read from it."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return AnswerBook.read(path)


def test_counts_are_looked_up_to_eight(tmp_path: Path) -> None:
    """Nine and twelve of an event are the same signature, seven is another, and order does not matter."""
    row = {
        "signature": "counts8",
        "events": [2, 10],
        "counts": [1, 8],
        "label": "anomalous",
        "confidence": 0.8,
    }
    book = book_of(tmp_path / "a.jsonl", row)

    assert book.answer(["10"] * 9 + ["2"]) == RecordedAnswer("anomalous", 0.8)
    assert book.answer(["2"] + ["10"] * 12) == RecordedAnswer("anomalous", 0.8)
    assert book.answer(["2"] + ["10"] * 7) is None


def test_sets_ignore_counts(tmp_path: Path) -> None:
    """A `set` signature is found however often its events stand in the window."""
    row = {"signature": "set", "events": ["E1", "E15"], "label": "normal", "confidence": 0.9}

    assert book_of(tmp_path / "a.jsonl", row).answer(["E15", "E1", "E15"]) == RecordedAnswer("normal", 0.9)
    assert signature_of(["E15", "E1", "E15"], "set") == (("E1", 1), ("E15", 1))


@pytest.mark.parametrize(
    "content",
    ["not json\n", '{"signature": "set"}\n', "", '{"signature":"order","events":[],"label":"normal","confidence":1}\n'],
)
def test_a_file_of_no_answers_is_misuse(tmp_path: Path, content: str) -> None:
    """Anything but one kind of recorded signatures is refused with the option's name."""
    path = tmp_path / "labels.jsonl"
    path.write_text(content)

    with pytest.raises(MisuseError, match="--labels must"):
        AnswerBook.read(path)


def test_answers_are_written_by_window(tmp_path: Path) -> None:
    """The trainer's labeller finds window, label and confidence in each line."""
    path = tmp_path / "answers.jsonl"

    assert write_answers(path, [("w1", RecordedAnswer("normal", 0.7))]) == 1
    assert json.loads(path.read_text()) == {"window": "w1", "label": "normal", "confidence": 0.7}


def test_the_template_with_the_longest_constant_text_wins(tmp_path: Path) -> None:
    """A line that several published templates fit is the event of the most specific one."""
    folder = tmp_path / "hdfs"
    folder.mkdir()
    (folder / "hdfs_templates.csv").write_text("event_id,template\n1,<*>Got<*>\n2,<*>Got exception while<*>\n")
    events = PublishedEvents(tmp_path, "hdfs")

    assert events.of(0, b"10.0.0.1 Got exception while serving") == "2"
    assert events.of(1, b"Got it") == "1"
    with pytest.raises(BenchError, match="published template"):
        events.of(2, b"unheard of")


@pytest.mark.shared
def test_real_blocks_have_the_answers_that_the_recordings_promise(shared_data: Path) -> None:
    """Every real HDFS line matches a template, and 1,373 of the 1,782 cut-off blocks have a recorded answer."""
    book = AnswerBook.read(shared_data / "llm_labels" / "hdfs.jsonl")
    published = PublishedEvents(shared_data, "hdfs")
    events: defaultdict[bytes, list[str]] = defaultdict(list)
    for row, line in enumerate(read_lines(shared_data / "hdfs" / "HDFS_20000.log.xz")):
        for block in blocks_of(line):
            events[block].append(published.of(row, line))

    assert len(events) == 1782
    assert sum(book.answer(found) is not None for found in events.values()) == 1373
