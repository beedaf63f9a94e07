"""Compares alerts with the truth, and simple rules on the same windows with it. Nothing else of the demo reads it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testkit.confusion import confusion

_SEVERITY = re.compile(r"\blvl=(?:warn|error|fatal)\b", re.IGNORECASE)
_ERROR_SEVERITY = re.compile(r"\blvl=(?:error|fatal)\b", re.IGNORECASE)
_WORDS = re.compile(
    r"error|fail|fatal|exception|time(?:d )?\s?out|refused|reject|denied|panic|abort|crash|corrupt|lost|expired",
    re.IGNORECASE,
)

_SEVERITY_OR_WORDS = re.compile(f"{_SEVERITY.pattern}|{_WORDS.pattern}", re.IGNORECASE)
KEYWORD_RULES = (_ERROR_SEVERITY.search, _SEVERITY.search, _WORDS.search, _SEVERITY_OR_WORDS.search)


@dataclass(frozen=True)
class ScoredWindow:
    """A closed window of a session (`key`); `new_template`: one of its lines matches no template of the model."""

    key: str
    alerted: bool
    lines: tuple[str, ...]
    new_template: bool


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 of the alerts, recall by kind of failure, and F1 of the simple rules.

    `keyword_f1` is the best of four severity and keyword rules, so that the comparison is fair.
    """

    windows: int
    anomalous: int
    alerts: int
    precision: float
    recall: float
    f1: float
    recall_by_failure_kind: dict[str, float]
    keyword_f1: float
    new_template_f1: float


def score(windows: Sequence[ScoredWindow], truth: Mapping[str, str]) -> Scores:
    """Score windows against the truth (session → failure kind, "" for a normal session).

    Raises:
        KeyError: a window's key is no session of the truth: the windows are of other data.
    """
    kinds = [truth[window.key] for window in windows]
    alerted = [window.alerted for window in windows]
    failing = list(map(bool, kinds))
    ours = confusion(alerted, failing)
    return Scores(
        windows=len(windows),
        anomalous=sum(failing),
        alerts=sum(alerted),
        precision=ours.precision,
        recall=ours.recall,
        f1=ours.f1,
        recall_by_failure_kind=_recall_by_kind(alerted, kinds),
        keyword_f1=max(
            confusion([any(map(rule, window.lines)) for window in windows], failing).f1 for rule in KEYWORD_RULES
        ),
        new_template_f1=confusion([window.new_template for window in windows], failing).f1,
    )


def _recall_by_kind(flagged: Sequence[bool], kinds: Sequence[str]) -> dict[str, float]:
    total = Counter(kind for kind in kinds if kind)
    found = Counter(kind for flag, kind in zip(flagged, kinds, strict=True) if flag and kind)
    return {kind: found[kind] / total[kind] for kind in sorted(total)}
