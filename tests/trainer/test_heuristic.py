from random import Random

import pytest

from tests.trainer.miniature import TEXTS, corpus, course, history, runs_of, spoilt
from trainer.labelling.base import Question, SystemCard
from trainer.labelling.heuristic import HeuristicLabeller, corpus_fingerprint, mine_evidence
from trainer.labelling.rules.evidence import EvidenceModel, probability
from trainer.labelling.rules.invariants import breaks, concerns, mine
from trainer.labelling.rules.tables import tabulate

CARD = SystemCard("shop", 500)


def _judge(windows, texts=TEXTS, judged=None):
    known = corpus(windows, texts=texts)
    model = EvidenceModel([s.runs for s in known.signatures], [float(s.windows) for s in known.signatures], texts)
    return probability(model.judge([runs_of(window) for window in (judged or windows)]).log_odds)


@pytest.mark.parametrize("kind", ["missing", "order", "burst", "words"])
def test_each_kind_of_failure_is_found_in_unlabelled_windows(kind):
    """Windows that break what nearly all others keep, or hold a rare line of alarm, are anomalous; the rest is not."""
    windows, kinds = history()
    p = _judge(windows)
    found = [float(q) >= 0.5 for q, of in zip(p, kinds, strict=True) if of == kind]
    false_alarms = sum(float(q) >= 0.5 for q, of in zip(p, kinds, strict=True) if not of)
    assert sum(found) >= 0.8 * len(found)
    assert false_alarms <= 0.01 * len(windows)


def test_a_frequent_line_of_alarm_in_sound_windows_is_harmless():
    """A scary line that stands in a fifth of the windows, all otherwise in order, does not make them anomalous."""
    dice = Random(1)
    texts = TEXTS | {"loud": "optional lookup failed with error"}
    windows = [course(dice) for _ in range(400)]
    for window in windows[::5]:
        window.insert(2, "loud")
    assert (_judge(windows, texts) >= 0.5).sum() == 0


def test_a_new_harmless_line_from_some_day_on_is_no_anomaly():
    """A rare line without words of alarm is not enough, nor is a line that a new version brings."""
    dice = Random(2)
    texts = TEXTS | {"new": "exporter flushed <NUM> points", "once": "badge of operator renewed"}
    windows = [course(dice) for _ in range(400)]
    for window in windows[280::2]:
        window.append("new")
    windows[7].insert(3, "once")
    assert (_judge(windows, texts) >= 0.5).sum() == 0


def test_another_usual_path_excuses_missing_steps():
    """Steps that a frequent harmless path of its own leaves out are not missed."""
    dice = Random(3)
    texts = TEXTS | {"cancel": "customer called the order off"}
    windows = [course(dice) for _ in range(400)]
    windows += [["recv", "check", "cancel", "close"] for _ in range(15)]
    assert (_judge(windows, texts)[-15:] >= 0.5).sum() == 0


def test_alarming_chatter_is_harmless_and_the_same_line_behind_one_step_is_not():
    """A scary line anywhere in orders that go on as usual is about something else; tied to a step it is not."""
    texts = TEXTS | {"drift": "cache write failed, tried again"}

    def flagged(place):
        dice = Random(4)
        windows = [course(dice) for _ in range(1200)]
        for window in windows[::80]:
            window.insert(place(window, dice), "drift")
        return (_judge(windows, texts)[::80] >= 0.5).sum()

    assert flagged(lambda window, dice: dice.randint(1, len(window))) == 0
    assert flagged(lambda window, _: window.index("pack") + 1) == 15


def test_a_rare_path_is_excused_where_nothing_beside_it_is_alarming():
    """Of two rare ways to leave steps out, the one that comes with a line of alarm is a failure."""
    texts = TEXTS | {"cancel": "customer called the order off", "dead": "fatal: address service crashed"}

    def judged(*path):
        dice = Random(3)
        windows = [course(dice) for _ in range(1000)] + [list(path)] * 12
        return float(_judge(windows, texts)[-1])

    assert judged("recv", "check", "cancel", "close") < 0.5
    assert judged("recv", "check", "dead", "cancel", "close") >= 0.5


def test_the_rules_say_whom_they_concern():
    """A rule never holds a window to account that it does not speak about."""
    windows, _ = history()
    known = corpus(windows)
    tables = tabulate([s.runs for s in known.signatures], [s.windows for s in known.signatures])
    rules = mine(tables, tables.weights)
    assert {rule.kind for rule in rules} >= {"missing", "order", "count", "ceiling"}
    for rule in rules:
        assert not (breaks(rule, tables) & ~concerns(rule, tables)).any()


def test_unseen_windows_of_known_failures_are_judged():
    """The rules apply to windows that were not in the corpus."""
    windows, _ = history()
    dice = Random(99)
    unseen = [spoilt(kind, dice) for kind in ("missing", "order", "burst") for _ in range(10)]
    assert (_judge(windows, judged=unseen) >= 0.5).mean() >= 0.9
    assert (_judge(windows, judged=[course(dice) for _ in range(50)]) >= 0.5).mean() <= 0.02


def test_answers_are_right_and_repeat_themselves():
    """Anomalous answers are right, their evidence are events of the system, and asking twice gives the same."""
    windows, kinds = history()
    target = corpus(windows)
    labeller = HeuristicLabeller(mine_evidence(target, {}), corpus_fingerprint(target))
    questions = [Question(str(number), 1, (runs_of(window),), (1,), TEXTS) for number, window in enumerate(windows)]
    answers = labeller.label(questions, CARD)
    assert answers == labeller.label(questions, CARD)
    for answer, kind in zip(answers, kinds, strict=True):
        assert set(answer.evidence) <= set(TEXTS)  # a missing step is evidence, too
        assert answer.confidence >= 0.5
        if answer.label == "anomalous":
            assert kind
        assert answer.prompt_hash


def test_an_empty_system_judges_nothing_anomalous():
    """A corpus of one window has no rules, so nothing is anomalous by them."""
    assert _judge([["recv", "close"]])[0] < 0.5
