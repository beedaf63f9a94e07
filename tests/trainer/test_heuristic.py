from collections.abc import Callable, Mapping, Sequence
from random import Random

import pytest

from detector.model.calibration import sigmoid
from trainer.labelling.base import Question
from trainer.labelling.heuristic import HeuristicLabeller
from trainer.labelling.rules.evidence import EvidenceModel
from trainer.labelling.rules.invariants import breaks, concerns, mine
from trainer.labelling.rules.tables import Floats, tabulate
from trainer.testing import TEXTS, corpus, course, history, runs_of, spoilt


def _probabilities(
    windows: Sequence[Sequence[str]],
    texts: Mapping[str, str] = TEXTS,
    scored: Sequence[Sequence[str]] | None = None,
) -> Floats:
    known = corpus(windows, texts=texts)
    model = EvidenceModel(known, {})
    return sigmoid(model.score([runs_of(window) for window in (scored or windows)]).log_odds)


@pytest.mark.parametrize("kind", ["missing", "order", "burst", "words"])
def test_each_kind_of_failure_is_found_in_unlabelled_windows(kind: str) -> None:
    """Windows that break what nearly all others keep, or hold a rare alarming line, are anomalous; others are not."""
    windows, kinds = history()
    p = _probabilities(windows)
    found = [float(q) >= 0.5 for q, of in zip(p, kinds, strict=True) if of == kind]
    false_alarms = sum(float(q) >= 0.5 for q, of in zip(p, kinds, strict=True) if not of)
    assert sum(found) >= 0.8 * len(found)
    assert false_alarms <= 0.01 * len(windows)


def test_a_frequent_alarming_line_in_orderly_windows_is_harmless() -> None:
    """An alarming line in a fifth of the windows, all otherwise orderly, does not make them anomalous."""
    rng = Random(1)
    texts = {**TEXTS} | {"loud": "optional lookup failed with error"}
    windows = [course(rng) for _ in range(400)]
    for window in windows[::5]:
        window.insert(2, "loud")
    assert (_probabilities(windows, texts) >= 0.5).sum() == 0


def test_a_new_harmless_line_from_some_day_on_is_no_anomaly() -> None:
    """A rare line without words of alarm is not enough, nor is a line that a new version brings."""
    rng = Random(2)
    texts = {**TEXTS} | {"new": "exporter flushed <NUM> points", "once": "badge of operator renewed"}
    windows = [course(rng) for _ in range(400)]
    for window in windows[280::2]:
        window.append("new")
    windows[7].insert(3, "once")
    assert (_probabilities(windows, texts) >= 0.5).sum() == 0


def test_another_usual_path_excuses_missing_steps() -> None:
    """Steps that a frequent harmless path of its own leaves out are not missed."""
    rng = Random(3)
    texts = {**TEXTS} | {"cancel": "customer called the order off"}
    windows = [course(rng) for _ in range(400)]
    windows += [["recv", "check", "cancel", "close"] for _ in range(15)]
    assert (_probabilities(windows, texts)[-15:] >= 0.5).sum() == 0


def test_an_alarming_background_event_is_harmless_and_the_same_line_after_one_step_is_not() -> None:
    """An alarming line anywhere in orders that go on as usual does not count; after one step only, it does."""
    texts = {**TEXTS} | {"drift": "cache write failed, tried again"}

    def flagged(place: Callable[[list[str], Random], int]) -> int:
        rng = Random(4)
        windows = [course(rng) for _ in range(1200)]
        for window in windows[::80]:
            window.insert(place(window, rng), "drift")
        return int((_probabilities(windows, texts)[::80] >= 0.5).sum())

    assert flagged(lambda window, rng: rng.randint(1, len(window))) == 0
    assert flagged(lambda window, _: window.index("pack") + 1) == 15


def test_a_rare_path_is_excused_where_nothing_beside_it_is_alarming() -> None:
    """Of two rare ways to leave steps out, the one that comes with a line of alarm is a failure."""
    texts = {**TEXTS} | {"cancel": "customer called the order off", "dead": "fatal: address service crashed"}

    def scored(*path: str) -> float:
        rng = Random(3)
        windows = [course(rng) for _ in range(1000)] + [list(path)] * 12
        return float(_probabilities(windows, texts)[-1])

    assert scored("recv", "check", "cancel", "close") < 0.5
    assert scored("recv", "check", "dead", "cancel", "close") >= 0.5


def test_rules_are_broken_only_by_windows_that_they_apply_to() -> None:
    """No rule is broken by a window that it does not apply to."""
    windows, _ = history()
    known = corpus(windows)
    tables = tabulate([s.runs for s in known.signatures], [s.windows for s in known.signatures])
    rules = mine(tables, tables.weights)
    assert {rule.kind for rule in rules} >= {"missing", "order", "count", "ceiling"}
    for rule in rules:
        assert not (breaks(rule, tables) & ~concerns(rule, tables)).any()


def test_unseen_windows_of_known_failures_are_found() -> None:
    """The rules apply to windows that were not in the corpus."""
    windows, _ = history()
    rng = Random(99)
    unseen = [spoilt(kind, rng) for kind in ("missing", "order", "burst") for _ in range(10)]
    assert (_probabilities(windows, scored=unseen) >= 0.5).mean() >= 0.9
    assert (_probabilities(windows, scored=[course(rng) for _ in range(50)]) >= 0.5).mean() <= 0.02


def test_answers_are_right_and_repeat_themselves() -> None:
    """Anomalous answers are right, their evidence are events of the system, and asking twice gives the same."""
    windows, kinds = history()
    target = corpus(windows)
    labeller = HeuristicLabeller(EvidenceModel(target, {}), target)
    questions = [Question(str(number), 1, (runs_of(window),), (1,), TEXTS) for number, window in enumerate(windows)]
    answers = labeller.label(questions)
    assert answers == labeller.label(questions)
    for answer, kind in zip(answers, kinds, strict=True):
        assert set(answer.evidence) <= set(TEXTS)  # a missing step is evidence, too
        assert answer.confidence >= 0.5
        if answer.label == "anomalous":
            assert kind
        assert answer.prompt_hash


def test_in_an_empty_system_nothing_is_anomalous() -> None:
    """A corpus of one window has no rules, so nothing is anomalous by them."""
    assert _probabilities([["recv", "close"]])[0] < 0.5
