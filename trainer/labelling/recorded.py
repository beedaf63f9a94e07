"""A labeller that looks recorded answers up by window id: labels of an LLM or of people without an endpoint."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from trainer.errors import LabellerError
from trainer.labelling.base import Answer, Label, LabellerInputs, MakeLabeller, Question, SameLabeller

NAME = "recorded"


class _Line(msgspec.Struct, frozen=True):
    window: str
    label: Label
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]


class RecordedLabeller:
    """Looks up the example windows of a question; their answers vote by confidence, and none found is an abstention.

    Args:
        system: name of the system.
        path: JSON lines of `window` (a window id), `label` (normal, anomalous, abstain) and `confidence` (0 to 1).

    Raises:
        LabellerError: the file cannot be read, or a line is not an answer.
    """

    name = NAME

    def __init__(self, system: str, path: Path) -> None:
        self._system = system
        try:
            content = path.read_bytes()
        except OSError as error:
            raise LabellerError(f"recorded.answers must be a readable file, got {path}: {error.strerror}") from error
        self._answers = dict(_parse(line, number, path) for number, line in enumerate(content.splitlines(), start=1))
        self._file_hash = hashlib.sha256(content).hexdigest()

    def label(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer per question, in the same order."""
        return [self._answer(question) for question in questions]

    def prompt_hash(self, question: Question) -> str:
        """Hash of the file and of the window ids that are looked up."""
        asked = repr((NAME, self._file_hash, self._system, question.example_window_ids))
        return hashlib.sha256(asked.encode()).hexdigest()

    def _answer(self, question: Question) -> Answer:
        found = [self._answers[window] for window in question.example_window_ids if window in self._answers]
        voted = [line for line in found if line.label != "abstain"]
        score = sum(line.confidence if line.label == "anomalous" else -line.confidence for line in voted)
        agreeing = [line.confidence for line in voted if (line.label == "anomalous") == (score > 0)]
        return Answer(
            group=question.group,
            label="abstain" if not voted or score == 0 else "anomalous" if score > 0 else "normal",
            confidence=sum(agreeing) / len(voted) if voted and score != 0 else 0.0,
            reason=f"{len(voted)} of {len(question.example_window_ids)} example windows have a recorded answer",
            labeller=NAME,
            prompt_hash=self.prompt_hash(question),
        )


def make_recorded(inputs: LabellerInputs) -> MakeLabeller:
    """The `build` of its row in the table of labellers; the file is read once, by the driver of the run.

    Raises:
        LabellerError: recorded answers cannot be read.
    """
    recorded = inputs.settings.recorded
    assert recorded is not None
    return SameLabeller(RecordedLabeller(inputs.target.system, recorded.answers))


def _parse(line: bytes, number: int, path: Path) -> tuple[str, _Line]:
    try:
        answer = msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError as error:
        raise LabellerError(
            f"{path}:{number} must be JSON with window, label (normal, anomalous, abstain) and confidence (0 to 1): "
            f"{error}"
        ) from error
    return answer.window, answer
