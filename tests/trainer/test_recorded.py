from pathlib import Path

import pytest

from trainer.errors import LabellerError
from trainer.labelling.base import Answer, Question
from trainer.labelling.recorded import RecordedLabeller

LINES = (
    '{"window": "w1", "label": "anomalous", "confidence": 0.9}\n'
    '{"window": "w2", "label": "normal", "confidence": 0.6}\n'
    '{"window": "w3", "label": "abstain", "confidence": 0.0}\n'
)


def _label(tmp_path: Path, *windows: str, lines: str = LINES) -> Answer:
    path = tmp_path / "answers.jsonl"
    path.write_text(lines)
    question = Question("g", 5, ((("a", 1),),), (5,), {"a": "text"}, tuple(windows))
    return RecordedLabeller("orders", path).label([question])[0]


@pytest.mark.parametrize(
    ("windows", "expected"),
    [(["w1"], "anomalous"), (["w2", "w1"], "anomalous"), (["w2"], "normal"), (["w3"], "abstain"), (["w9"], "abstain")],
)
def test_example_windows_vote_by_confidence(windows: list[str], expected: str, tmp_path: Path) -> None:
    """The answers of a group's example windows decide; no answer is an abstention."""
    assert _label(tmp_path, *windows).label == expected


def test_a_tie_is_an_abstention(tmp_path: Path) -> None:
    """Equal confidence on both sides decides nothing."""
    lines = LINES + '{"window": "w4", "label": "normal", "confidence": 0.9}\n'
    assert _label(tmp_path, "w1", "w4", lines=lines).label == "abstain"


@pytest.mark.parametrize(
    "line", ["{", '{"window": "w"}', '{"window": "w", "label": "bad", "confidence": 1}',
             '{"window": "w", "label": "normal", "confidence": 3}']
)  # fmt: skip
def test_a_line_that_is_no_answer_is_named(line: str, tmp_path: Path) -> None:
    """The error says which line of which file."""
    with pytest.raises(LabellerError, match=r"answers\.jsonl:4"):
        _label(tmp_path, "w1", lines=LINES + line + "\n")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error says which setting and file."""
    with pytest.raises(LabellerError, match=r"recorded\.answers must be a readable file"):
        RecordedLabeller("orders", tmp_path / "none.jsonl")
