import threading
from collections.abc import Iterator, Sequence

import pytest

from trainer.errors import LabellerError
from trainer.labelling.base import Answer, Question
from trainer.testing import FakeLabeller
from trainer.workers.local import BATCH_QUESTIONS, LabellerPool

QUESTIONS = [Question(f"{n:016x}", 1, (((f"e{n}", 1),),), (1,), {}) for n in range(300)]


class Batches(FakeLabeller):
    """Keeps the sizes of its batches; `error` is raised at the batch with the first question."""

    def __init__(self, error: LabellerError | None = None) -> None:
        super().__init__()
        self.error = error
        self.sizes: list[int] = []

    def label(self, questions: Sequence[Question]) -> list[Answer]:
        self.sizes.append(len(questions))
        if self.error is not None and questions[0] == QUESTIONS[0]:
            raise self.error
        return super().label(questions)


def _collected(batches: Iterator[list[Answer]]) -> tuple[list[str], LabellerError | None]:
    """Groups that came before an error, and the error."""
    groups: list[str] = []
    try:
        for batch in batches:
            groups += [answer.group for answer in batch]
    except LabellerError as error:
        return groups, error
    return groups, None


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_question_is_answered_once_in_small_batches(count: int) -> None:
    """A run that is killed loses the answers of one batch per labeller, not those of a whole round."""
    labellers = [Batches() for _ in range(count)]
    groups, error = _collected(LabellerPool(labellers).label(QUESTIONS))
    assert error is None
    assert sorted(groups) == [question.group for question in QUESTIONS]
    assert max(size for labeller in labellers for size in labeller.sizes) <= BATCH_QUESTIONS


def test_an_error_ends_the_labelling_after_batches_under_way_were_yielded() -> None:
    """One labeller's key is refused: the paid batch that another one is at comes through, and then the error."""
    failed = threading.Event()

    class Refused(Batches):
        def label(self, questions: Sequence[Question]) -> list[Answer]:
            try:
                return super().label(questions)
            finally:
                failed.set()

    class Slow(Batches):
        def label(self, questions: Sequence[Question]) -> list[Answer]:
            assert failed.wait(30)
            return super().label(questions)

    slow = Slow()
    pool = LabellerPool([slow, Refused(LabellerError("api_key must be right"))])
    groups, error = _collected(pool.label(QUESTIONS))
    assert str(error) == "api_key must be right"
    assert len(slow.sizes) == 1
    assert groups == slow.asked


def test_labellers_work_at_the_same_time() -> None:
    """Two labellers that wait for each other both finish."""
    together = threading.Barrier(2, timeout=30)

    class Meeting(FakeLabeller):
        def label(self, questions: Sequence[Question]) -> list[Answer]:
            if QUESTIONS[0] in questions or QUESTIONS[63] in questions:
                together.wait()
            return super().label(questions)

    groups, _ = _collected(LabellerPool([Meeting(), Meeting()]).label(QUESTIONS[:64]))
    assert len(groups) == 64
