"""Answers given before, looked up by window id: a real LLM's labels without an endpoint (docs/accuracy.md)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from trainer.errors import LabellerError
from trainer.labelling.base import Answer, Question, SystemCard

NAME = "recorded"


class _Line(msgspec.Struct, frozen=True):
    window: str
    label: Literal["normal", "anomalous", "abstain"]
    confidence: float


class RecordedLabeller:
    """Looks the example windows of a question up; their answers vote by confidence, and none found is an abstention.

    Args:
        path: JSON lines of `window` (a window id), `label` (normal, anomalous, abstain) and `confidence` (0 to 1).

    Raises:
        LabellerError: the file cannot be read, or a line is not an answer.
    """

    name = NAME

    def __init__(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise LabellerError(f"recorded.answers must be a readable file, got {path}: {error.strerror}") from error
        self._answers = dict(_parse(line, number, path) for number, line in enumerate(content.splitlines(), start=1))
        self._fingerprint = hashlib.sha256(content).hexdigest()

    def label(self, questions: Sequence[Question], card: SystemCard) -> list[Answer]:
        """One answer a question, in their order."""
        return [self._answer(question, card) for question in questions]

    def prompt_hash(self, question: Question, card: SystemCard) -> str:
        """Hash of everything that the answer depends on."""
        told = repr((NAME, self._fingerprint, card.system, question.example_window_ids))
        return hashlib.sha256(told.encode()).hexdigest()

    def _answer(self, question: Question, card: SystemCard) -> Answer:
        found = [self._answers[window] for window in question.example_window_ids if window in self._answers]
        voted = [line for line in found if line.label != "abstain"]
        score = sum(line.confidence if line.label == "anomalous" else -line.confidence for line in voted)
        agreeing = [line.confidence for line in voted if (line.label == "anomalous") == (score > 0)]
        return Answer(
            group=question.group,
            label="abstain" if not voted or score == 0 else "anomalous" if score > 0 else "normal",
            confidence=sum(agreeing) / len(voted) if voted and score != 0 else 0.0,
            reason=f"{len(voted)} of {len(question.example_window_ids)} example windows have a recorded answer",
            giver=NAME,
            prompt_hash=self.prompt_hash(question, card),
        )


def _parse(line: bytes, number: int, path: Path) -> tuple[str, _Line]:
    try:
        answer = msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError as error:
        raise LabellerError(
            f"{path}:{number} must be JSON with window, label (normal, anomalous, abstain) and confidence: {error}"
        ) from error
    if not 0.0 <= answer.confidence <= 1.0:
        raise LabellerError(f"{path}:{number} confidence must be from 0 to 1, got {answer.confidence}")
    return answer.window, answer
