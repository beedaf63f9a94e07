"""Log-odds of windows for being anomalous, from unlabelled windows and the words in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detector.model.calibration import sigmoid
from detector.model.runs import Runs
from trainer.data.signatures import Corpus
from trainer.labelling.rules.background_events import context_dependence
from trainer.labelling.rules.invariants import Rule, breaks, concerns, excess, mine
from trainer.labelling.rules.lexicon import severity
from trainer.labelling.rules.tables import Floats, Tables, tabulate

_BIAS = -3.0
"""Log-odds of a window without any evidence: one in twenty."""
_RULE_GAIN, _RULE_START = 1.6, 2.15
"""A broken rule adds gain * (surprise - start): 0 if a tenth of the windows breaks it, 4.2 if a hundredth does."""
_WORD_GAIN = 6.0
_LOOSE, _STRICT = (0.1, 0.4), (0.012, 0.03)
"""An alarming event has full weight if at most the first share of orderly windows holds it, and none from the second
share on, since it is routine then. The strict pair applies where most windows have a known shape."""
_SHAPED_RULES = 6
"""A window has a known shape if at least so many rules about steps and order apply to it."""
_CONCAVE = 0.5
"""Strength grows with this power of severity, so that a rare mild word still counts."""
_RARE_ODDS = 0.6
"""Log-odds of an event that is in hardly any window, whatever its words: not enough for an anomaly alone."""
_ORDER_BROKEN = 2.5
"""Log-odds of broken rules from which a window is no longer orderly."""
_EXCUSED_RARE, _EXCUSED_OFTEN = 0.008, 0.02
"""A harmless event that occurs only with a deviation marks it as another normal path: not at all if at most the first
share of windows holds it (a failure has its own events, too), fully from the second share on."""
_QUIET_RARE, _QUIET_OFTEN = 0.005, 0.012
"""The same for an event whose windows are quiet, that is, hold no alarming event."""
_QUIET_ODDS = 1.5
"""Log-odds from which an event is alarming."""
_BACKGROUND = 0.7
"""Share of its weight that a background event loses."""
_CALM = (0.5, 0.9)
"""Share of orderly windows among those with an event: up to the first it is no background event, from the second on
fully one."""
_PASSES = 3
_MINOR = 0.15
"""Weight of all but the strongest evidence of a kind, since it mostly has one cause."""


@dataclass(frozen=True)
class WindowScores:
    """Scores of n windows.

    Attributes:
        log_odds: [n] for being anomalous.
        suspects: [n] column of the event with the strongest evidence, or -1.
        reasons: [n] kind of the strongest evidence.
    """

    log_odds: Floats
    suspects: tuple[int, ...]
    reasons: tuple[str, ...]


class EvidenceModel:
    """Evidence mined from a system's unlabelled windows; scores any window.

    Args:
        corpus: of the system.
        source_prior: event id → -1 to 1, how anomalous similar events of the labelled source are; may lack ids.
    """

    def __init__(self, corpus: Corpus, source_prior: Mapping[str, float]) -> None:
        kept = [signature for signature in corpus.signatures if signature.runs]
        windows, weights = [signature.runs for signature in kept], [float(signature.windows) for signature in kept]
        tables = tabulate(windows, weights)
        self.events = tables.events
        self._alarm = np.array([_alarm(corpus.texts[event], source_prior.get(event, 0.0)) for event in self.events])
        self._total = float(tables.weights.sum())
        self._share: Floats = tables.weights @ tables.present / max(self._total, 1e-12)
        self._dependence = context_dependence(windows, weights, self.events)
        self._background = np.zeros(len(self.events))
        self._path = self._often(np.zeros(len(self.events)))
        self._common = {runs: weight / self._total for runs, weight in zip(windows, weights, strict=True)}
        believed = tables.weights
        self._routine_share = self._share
        self._limits = _LOOSE
        for _ in range(_PASSES):
            self.rules = mine(tables, believed)
            self._excuses = self._find_excuses(tables)
            self._learn_routine(tables)
            doubt = sigmoid(self._score(tables, windows).log_odds)
            believed = tables.weights * (1.0 - np.where(doubt > 0.5, doubt, 0.0))  # noqa: PLR2004

    def score(self, windows: Sequence[Runs]) -> WindowScores:
        """Scores of `windows`, in the corpus or not."""
        return self._score(tabulate(windows, [1.0] * len(windows), self.events), windows)

    def _score(self, tables: Tables, windows: Sequence[Runs]) -> WindowScores:
        structure, suspects, kinds = self._structure(tables)
        words, word_suspects = self._words(tables)
        routine = np.array([self._routine(runs) for runs in windows])
        louder = words > structure
        chosen = np.where(louder, word_suspects, suspects)
        reasons = tuple("alarming line" if loud else kind for loud, kind in zip(louder, kinds, strict=True))
        return WindowScores(_BIAS + structure + words - routine, tuple(map(int, chosen)), reasons)

    def _routine(self, runs: Runs) -> float:
        share = self._common.get(runs, 0.0)
        return float(np.clip(np.log(max(share, 1e-9) / 0.02) / np.log(5.0), 0.0, 2.0))

    def _learn_routine(self, tables: Tables) -> None:
        """In how many orderly windows each event is, and how many windows have a known shape."""
        structure, _, _ = self._structure(tables)
        applying = np.zeros(len(tables.weights))
        for rule in self.rules:
            if rule.kind in ("missing", "order"):
                applying += concerns(rule, tables)
        in_order = tables.weights * (structure < _ORDER_BROKEN)
        self._routine_share = in_order @ tables.present / self._total
        calm = self._routine_share / np.maximum(self._share, 1e-9)
        shaped = float(tables.weights[applying >= _SHAPED_RULES].sum()) / self._total
        loose, strict = np.log(_LOOSE), np.log(_STRICT)
        rare, routine = np.exp(loose + shaped * (strict - loose))
        self._limits = (float(rare), float(routine))
        usual = np.clip((calm - _CALM[0]) / (_CALM[1] - _CALM[0]), 0.0, 1.0)
        self._background = shaped * (1.0 - self._dependence) * usual
        alarming = tables.present[:, self._strength() >= _QUIET_ODDS].any(axis=1)
        quiet = (tables.weights * ~alarming) @ tables.present / np.maximum(tables.weights @ tables.present, 1e-9)
        self._path = self._often(np.clip(2.0 * quiet - 1.0, 0.0, 1.0))

    def _often(self, quiet: Floats) -> Floats:
        """[E] from 0 for events in so few windows that they may be of a failure to 1 for events of a normal path."""
        rare = _EXCUSED_RARE * (_QUIET_RARE / _EXCUSED_RARE) ** quiet
        often = _EXCUSED_OFTEN * (_QUIET_OFTEN / _EXCUSED_OFTEN) ** quiet
        share: Floats = np.log(np.maximum(self._share, 1e-9) / rare) / np.log(often / rare)
        return np.clip(share, 0.0, 1.0)

    def line_odds(self) -> dict[str, float]:
        """Log-odds that each event adds to a window by its words and rarity."""
        return dict(zip(self.events, self._strength().tolist(), strict=True))

    def _strength(self) -> Floats:
        words = _WORD_GAIN * np.maximum(self._alarm, 0.0) ** _CONCAVE * self._fade(*self._limits)
        strength: Floats = (words + _RARE_ODDS * self._fade(*_STRICT)) * (1.0 - _BACKGROUND * self._background)
        return strength

    def _fade(self, rare: float, routine: float) -> Floats:
        """[E] from 1 for events in few orderly windows to 0 for events in many."""
        fade: Floats = np.log(routine / np.maximum(self._routine_share, 1e-9)) / np.log(routine / rare)
        return np.clip(fade, 0.0, 1.0)

    def _words(self, tables: Tables) -> tuple[Floats, np.ndarray]:
        held = tables.present * self._strength()[None, :]
        return _strongest_first(held), held.argmax(axis=1) if held.shape[1] else np.full(len(held), -1)

    def _structure(self, tables: Tables) -> tuple[Floats, np.ndarray, list[str]]:
        """Strongest broken rule per root (kind, event), then the sum that favors the strongest root."""
        n = len(tables.weights)
        roots: dict[tuple[str, int], Floats] = {}
        for number, rule in enumerate(self.rules):
            strength = _RULE_GAIN * (rule.surprise - _RULE_START)
            if strength <= 0.0:
                continue
            broken = breaks(rule, tables)
            if not broken.any():
                continue
            excuses = self._excuses.get(number, ())
            columns = list(excuses)
            excused = (tables.present[:, columns] * self._path[columns]).max(axis=1) if excuses else np.zeros(n)
            value = np.where(broken, strength, 0.0) * (1.0 - excused) * excess(rule, tables)
            root = _root(rule)
            roots[root] = np.maximum(roots[root], value) if root in roots else value
        if not roots:
            return np.zeros(n), np.full(n, -1), [""] * n
        names, stacked = list(roots), np.stack(list(roots.values()), axis=1)
        best = stacked.argmax(axis=1)
        return _strongest_first(stacked), np.array([names[i][1] for i in best]), [names[i][0] for i in best]

    def _find_excuses(self, tables: Tables) -> dict[int, tuple[int, ...]]:
        """Harmless events that mark another normal path: nearly every window with one breaks the rule."""
        present, weights = tables.present, tables.weights
        support = weights @ present
        harmless = (support >= 8.0) & (self._alarm <= 0.2) & (self._path > 0.0) & (self._share < 0.2)  # noqa: PLR2004
        candidates = np.flatnonzero(harmless)
        excuses: dict[int, tuple[int, ...]] = {}
        if not len(candidates):
            return excuses
        for number, rule in enumerate(self.rules):
            broken = breaks(rule, tables)
            if rule.kind in ("ceiling", "burst") or not broken.any():
                continue
            within = weights * concerns(rule, tables)
            share = (weights[broken] @ present[broken][:, candidates]) / np.maximum(
                within @ present[:, candidates], 1e-9
            )
            found = candidates[(share >= 0.7) & (candidates != rule.subject)]  # noqa: PLR2004
            if len(found):
                excuses[number] = tuple(int(i) for i in found)
        return excuses


def _root(rule: Rule) -> tuple[str, int]:
    return (rule.kind, rule.other) if rule.kind == "missing" else (rule.kind, rule.subject)


def _alarm(text: str, source: float) -> float:
    words = severity(text)
    return float(np.clip(max(words, words + 0.3 * source, 0.5 * source), -0.3, 1.0))


def _strongest_first(values: Floats) -> Floats:
    if not values.shape[1]:
        return np.zeros(len(values))
    most = values.max(axis=1)
    rest: Floats = np.minimum(values.sum(axis=1) - most, 4.0 * most)
    return np.asarray(most + _MINOR * rest, np.float64)
