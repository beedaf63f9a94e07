import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.accuracy.answers import alone, oracle_noise, write_answers
from bench.accuracy.baselines import label_free, supervised
from bench.accuracy.baselines.invariants import Invariant, invariants, mine
from bench.accuracy.data.windows import LabelledWindows, labelled_windows
from bench.accuracy.task import Task, Verdicts
from trainer.testing import corpus

TEXTS = {"a": "request started", "b": "request done", "c": "disk failed: panic", "d": "cache <*> refreshed"}
NORMAL = ["a b", "a d b", "a a b b"]
KNOWN = {"a b": 0.1, "a a b b": 0.1, "a c": 0.9, "a d b": 0.2, "a c c": 0.9, "a d c": 0.8}


def task(pool: dict[str, int], test: dict[str, int], budget: int | None = None, labeller: str = "recorded") -> Task:
    """A task of windows given as sequences with their numbers; answers are those of `KNOWN`."""
    rows = [(sequence, False) for part in (pool, test) for sequence, number in part.items() for _ in range(number)]
    windows = labelled_windows("shop", rows, TEXTS, "session").windows
    sequences = [" ".join(events) for events in windows.published]
    return Task(
        windows=windows,
        pool=np.array([pool.get(sequence, 0) for sequence in sequences]),
        test=np.array([row for row, sequence in enumerate(sequences) if sequence in test]),
        seed=0,
        source=lambda: corpus([["recv"]], labels=[False]),
        labeller=labeller,
        answer=lambda _task: np.array([KNOWN.get(sequence, np.nan) for sequence in sequences]),
        budget=budget,
    )


def alarms(one: Task, verdicts: Verdicts) -> dict[str, bool]:
    """Whether each test row raises an alarm, by its sequence."""
    names = [" ".join(one.windows.published[row]) for row in one.test]
    return dict(zip(names, (verdicts.scores >= verdicts.threshold).tolist(), strict=True))


@pytest.mark.parametrize(
    ("method", "found"),
    [
        (label_free.new_event, {"a b": False, "a c": True}),
        (label_free.rare_event, {"a b": False, "a c": True}),
        (label_free.keyword, {"a b": False, "a c": True}),
        (label_free.severity_list, {"a b": False, "a c": True}),
        (label_free.always, {"a b": True, "a c": True}),
        (label_free.bigram_surprise, {"a b": False, "a c": True}),
        (invariants, {"a b": False, "a c": True}),
    ],
)
def test_baselines_without_answers(method: Callable[[Task], Verdicts], found: dict[str, bool]) -> None:
    """Each finds the window that breaks what it looks at, and leaves the commonest one alone."""
    one = task(dict.fromkeys(NORMAL, 100), {"a b": 1, "a c": 1})

    assert alarms(one, method(one)) == found


@pytest.mark.parametrize("method", [label_free.pca, label_free.isolation_forest])
def test_statistical_baselines_rank_an_odd_window_first(method: Callable[[Task], Verdicts]) -> None:
    """A window that lacks its end scores higher than the commonest one."""
    one = task(dict.fromkeys(NORMAL, 100) | {"a": 1}, {"a b": 1, "a a a a a": 1})

    usual, odd = method(one).scores

    assert odd > usual


@pytest.mark.parametrize("method", [supervised.dictionary, supervised.knn, supervised.random_forest])
def test_baselines_on_answers_repeat_them(method: Callable[[Task], Verdicts]) -> None:
    """On signatures that were answered, each gives the answer, and counts the answers that it used."""
    one = task({"a b": 50, "a a b b": 50, "a c": 50, "a d b": 50, "a c c": 50, "a d c": 50}, {"a b": 1, "a c": 1})

    verdicts = method(one)

    assert alarms(one, verdicts) == {"a b": False, "a c": True}
    assert verdicts.answers == 6


def test_a_budget_bounds_the_answers() -> None:
    """The most frequent signatures are asked about, the longest ones, or some at random; never more than the budget."""
    one = task({"a b": 50, "a a b b": 40, "a c": 5, "a d b": 9}, {"a b": 1}, budget=2)

    for choose in (supervised.by_frequency, supervised.by_chance, supervised.by_length):
        assert np.isfinite(choose(one, 2)).sum() == 2
    names = [" ".join(events) for events in one.windows.published]
    assert {names[row] for row in np.flatnonzero(np.isfinite(supervised.by_frequency(one, 2)))} == {"a b", "a a b b"}
    assert {names[row] for row in np.flatnonzero(np.isfinite(supervised.by_length(one, 2)))} == {"a a b b", "a d b"}


def test_an_unknown_signature_is_normal_to_the_dictionary() -> None:
    """Look-up cannot generalize."""
    one = task({"a b": 5, "a c": 5}, {"a c c": 1})

    assert alarms(one, supervised.dictionary(one)) == {"a c c": False}


def test_one_class_of_answers_is_the_verdict() -> None:
    """A regression cannot be fitted to one class; it then says what all answers said."""
    one = task({"a b": 5, "a a b b": 5}, {"a c": 1})

    assert alarms(one, supervised.logistic_regression(one)) == {"a c": False}


def test_answers_reach_the_trainer_for_the_pool_alone(tmp_path: Path) -> None:
    """The file of answers holds rows of the pool; a row of the test part alone is hidden from the labeller."""
    one = task({"a b": 5}, {"a c": 1})

    assert write_answers(tmp_path / "answers.jsonl", one, one.answers, 10) == 1
    assert (tmp_path / "answers.jsonl").read_text().count("\n") == 1


def test_a_question_about_several_windows_has_one_answer(tmp_path: Path) -> None:
    """A budget that makes the trainer ask about sets of events gets the answer about the set's most frequent window."""
    one = task({"a c": 5, "a b": 9, "a a b b": 8}, {"a b": 1})

    assert write_answers(tmp_path / "answers.jsonl", one, one.answers, 2) == 2
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert {(row["window"], row["label"]) for row in rows} == {("shop-0", "anomalous"), ("shop-1", "normal")}


def test_a_window_without_an_answer_raises_no_alarm() -> None:
    """The labeller alone is silent where it abstains."""
    assert (alone(np.array([np.nan, 0.9, 0.1])) >= 0.5).tolist() == [False, True, False]


def test_the_oracle_errs_by_signature_and_less_among_similar_ones() -> None:
    """Equal signatures get equal answers; normal ones are called anomalous where nothing similar is known."""
    rows = [(" ".join(["a"] * length + ["b"] * other), False) for length in range(1, 9) for other in range(1, 9)]
    alike = labelled_windows("shop", rows, TEXTS, "session")
    answer = oracle_noise(alike)

    def false_alarms(pool: np.ndarray) -> float:
        return float(np.mean([(answer(_task_of(alike, pool, seed)) >= 0.5).mean() for seed in range(20)]))

    nothing, everything = np.zeros(len(rows), np.int64), np.ones(len(rows), np.int64)
    assert false_alarms(everything) < 0.5 < false_alarms(nothing)
    first, second = (answer(_task_of(alike, everything, 3)) for _ in range(2))
    assert (first == second).all()


def _task_of(labelled: LabelledWindows, pool: np.ndarray, seed: int) -> Task:
    source = lambda: corpus([["recv"]], labels=[False])  # noqa: E731
    return Task(labelled.windows, pool, np.arange(len(pool)), seed, source, "oracle-noise", oracle_noise(labelled))


def test_relations_of_counts_are_mined() -> None:
    """`y = 2 x` and `z = x + v` are found, and a relation that one row in ten breaks is not."""
    x, v = np.arange(1, 11), np.array([0, 3, 1, 4, 1, 5, 9, 2, 6, 5])
    odd = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 99])
    counts = np.stack([x, 2 * x, v, x + v, odd], axis=1).astype(float)

    found = mine(counts, np.full(10, 0.1))

    assert Invariant((0, 1), (2, -1)) in found
    assert Invariant((0, 2, 3), (-1, -1, 1)) in found
    assert not any(4 in one.events for one in found)
