"""A labeller in one file, as someone would add it: by the length of the window."""

import hashlib
from collections.abc import Sequence

from trainer.labelling.base import Answer, LabellerInputs, MakeLabeller, Question, SameLabeller


class LengthLabeller:
    """Windows far longer than the typical one are anomalous."""

    name = "length"

    def __init__(self, longest: int) -> None:
        self._longest = longest

    def label(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer per question."""
        return [
            Answer(
                question.group,
                "anomalous" if sum(length for _, length in question.runs[0]) > self._longest else "normal",
                0.9,
                labeller=self.name,
                prompt_hash=self.prompt_hash(question),
            )
            for question in questions
        ]

    def prompt_hash(self, question: Question) -> str:
        """Of the limit and the window."""
        return hashlib.sha256(repr((self._longest, question.runs[0])).encode()).hexdigest()


def make_length_labeller(inputs: LabellerInputs) -> MakeLabeller:
    """The `build` of its row."""
    lines = sum(sum(length for _, length in row.runs) * row.windows for row in inputs.target.signatures)
    return SameLabeller(LengthLabeller(3 * lines // inputs.target.windows))
