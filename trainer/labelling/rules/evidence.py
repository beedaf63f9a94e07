"""What speaks for and against a window being anomalous, as log-odds, from unlabelled windows and the words in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.data.signatures import Runs
from trainer.labelling.rules.background_events import tied
from trainer.labelling.rules.invariants import Rule, breaks, concerns, excess, mine
from trainer.labelling.rules.lexicon import severity
from trainer.labelling.rules.tables import Floats, Tables, tabulate

_BIAS = -3.0
"""Log-odds of a window about which nothing speaks: one in twenty."""
_RULE_GAIN, _RULE_START = 1.6, 2.15
"""A broken rule gives gain * (surprise - start): nothing where a tenth breaks it, +4.2 where a hundredth does."""
_WORD_GAIN = 6.0
_LOOSE, _STRICT = (0.1, 0.4), (0.012, 0.03)
"""An alarming line has full weight in up to the first share of windows that are otherwise in order, and none from the
second on: it is routine. Where most windows have a known shape, one of perfect shape counts for more (strict)."""
_SHAPED_RULES = 6
"""A window that at least so many rules about steps and order speak of has a known shape."""
_CONCAVE = 0.5
"""A rare mild word still says something: strength grows with this power of severity."""
_RARE_ODDS = 0.6
"""A line in hardly any window says this much, whatever its words: never enough alone."""
_ORDER_BROKEN = 2.5
"""Evidence of broken rules from which a window is not in order."""
_EXCUSED_RARE, _EXCUSED_OFTEN = 0.008, 0.02
"""A harmless line of its own marks a deviation as another normal path: not at all up to the first share of windows
that hold it (a failure has lines of its own, too), wholly from the second on."""
_QUIET_RARE, _QUIET_OFTEN = 0.005, 0.012
"""The same where the windows that hold the line are quiet: no alarming line stands beside it."""
_QUIET_ODDS = 1.5
"""Log-odds by words from which a line is alarming."""
_CHATTER = 0.7
"""What chatter loses of its weight: a line that comes anywhere in windows that go on as usual is not about them."""
_CALM = (0.5, 0.9)
"""Share of the windows with a line that are in order: up to the first it is no chatter, from the second on wholly."""
_PASSES = 3
_MINOR = 0.15
"""Weight of everything but the strongest evidence of a kind: its pieces mostly have one cause."""


@dataclass(frozen=True)
class Judgement:
    """Evidence about each of n windows.

    Attributes:
        log_odds: [n] for being anomalous.
        structure: [n] part that comes from broken rules.
        words: [n] part that comes from alarming lines.
        suspects: [n] column of the event that says most, or -1.
        reasons: [n] kind of the strongest evidence.
    """

    log_odds: Floats
    structure: Floats
    words: Floats
    suspects: tuple[int, ...]
    reasons: tuple[str, ...]


class EvidenceModel:
    """Facts mined from a system's unlabelled windows, applicable to any window.

    Args:
        windows: distinct windows.
        weights: windows of each distinct one.
        texts: text of every event id.
        source_alarm: event id → -1 to 1, how anomalous the labelled source's nearest lines were; may lack ids.
    """

    def __init__(
        self,
        windows: Sequence[Runs],
        weights: Sequence[float],
        texts: Mapping[str, str],
        source_alarm: Mapping[str, float] | None = None,
    ) -> None:
        tables = tabulate(windows, weights)
        self.events = tables.events
        self._alarm = np.array([_alarm(texts[event], (source_alarm or {}).get(event, 0.0)) for event in self.events])
        self._total = float(tables.weights.sum())
        self._share = tables.share()
        self._tied = tied(windows, weights, self.events)
        self._chatter = np.zeros(len(self.events))
        self._path = self._often(np.zeros(len(self.events)))
        self._common = {runs: weight / self._total for runs, weight in zip(windows, weights, strict=True)}
        believed = tables.weights
        self._routine_share = self._share
        self._limits = _LOOSE
        for _ in range(_PASSES):
            self.rules = mine(tables, believed)
            self._excuses = self._find_excuses(tables)
            self._learn_routine(tables)
            doubt = probability(self._judge(tables, windows).log_odds)
            believed = tables.weights * (1.0 - np.where(doubt > 0.5, doubt, 0.0))  # noqa: PLR2004

    def judge(self, windows: Sequence[Runs]) -> Judgement:
        """Evidence about `windows`, seen before or not."""
        return self._judge(tabulate(windows, [1.0] * len(windows), self.events), windows)

    def _judge(self, tables: Tables, windows: Sequence[Runs]) -> Judgement:
        structure, suspects, kinds = self._structure(tables)
        words, word_suspects = self._words(tables)
        routine = np.array([self._routine(runs) for runs in windows])
        louder = words > structure
        chosen = np.where(louder, word_suspects, suspects)
        reasons = tuple("alarming line" if loud else kind for loud, kind in zip(louder, kinds, strict=True))
        return Judgement(_BIAS + structure + words - routine, structure, words, tuple(map(int, chosen)), reasons)

    def _routine(self, runs: Runs) -> float:
        share = self._common.get(runs, 0.0)
        return float(np.clip(np.log(max(share, 1e-9) / 0.02) / np.log(5.0), 0.0, 2.0))

    def _learn_routine(self, tables: Tables) -> None:
        """In how many windows that are otherwise in order each line stands, and how much shape the windows have."""
        structure, _, _ = self._structure(tables)
        spoken = np.zeros(len(tables.weights))
        for rule in self.rules:
            if rule.kind in ("missing", "order"):
                spoken += concerns(rule, tables)
        in_order = tables.weights * (structure < _ORDER_BROKEN)
        self._routine_share = in_order @ tables.present / self._total
        calm = self._routine_share / np.maximum(self._share, 1e-9)
        shaped = float(tables.weights[spoken >= _SHAPED_RULES].sum()) / self._total
        loose, strict = np.log(_LOOSE), np.log(_STRICT)
        rare, routine = np.exp(loose + shaped * (strict - loose))
        self._limits = (float(rare), float(routine))
        usual = np.clip((calm - _CALM[0]) / (_CALM[1] - _CALM[0]), 0.0, 1.0)
        self._chatter = shaped * (1.0 - self._tied) * usual
        alarming = tables.present[:, self._strength() >= _QUIET_ODDS].any(axis=1)
        quiet = (tables.weights * ~alarming) @ tables.present / np.maximum(tables.weights @ tables.present, 1e-9)
        self._path = self._often(np.clip(2.0 * quiet - 1.0, 0.0, 1.0))

    def _often(self, quiet: Floats) -> Floats:
        """[E] 0 for lines in so few windows that a failure may be what they belong to, 1 for lines of a path."""
        rare = _EXCUSED_RARE * (_QUIET_RARE / _EXCUSED_RARE) ** quiet
        often = _EXCUSED_OFTEN * (_QUIET_OFTEN / _EXCUSED_OFTEN) ** quiet
        share: Floats = np.log(np.maximum(self._share, 1e-9) / rare) / np.log(often / rare)
        return np.clip(share, 0.0, 1.0)

    def line_odds(self) -> dict[str, float]:
        """Log-odds that each event, standing in a window, adds to it by its words and rarity."""
        return dict(zip(self.events, self._strength().tolist(), strict=True))

    def _strength(self) -> Floats:
        words = _WORD_GAIN * np.maximum(self._alarm, 0.0) ** _CONCAVE * self._fade(*self._limits)
        strength: Floats = (words + _RARE_ODDS * self._fade(*_STRICT)) * (1.0 - _CHATTER * self._chatter)
        return strength

    def _fade(self, rare: float, routine: float) -> Floats:
        """[E] 1 for lines in few windows that are otherwise in order, 0 for those in many."""
        fade: Floats = np.log(routine / np.maximum(self._routine_share, 1e-9)) / np.log(routine / rare)
        return np.clip(fade, 0.0, 1.0)

    def _words(self, tables: Tables) -> tuple[Floats, np.ndarray]:
        held = tables.present * self._strength()[None, :]
        return _strongest_first(held), held.argmax(axis=1) if held.shape[1] else np.full(len(held), -1)

    def _structure(self, tables: Tables) -> tuple[Floats, np.ndarray, list[str]]:
        """Strongest broken rule of each root (kind, event), then the sum that favours the strongest root."""
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
        """Harmless lines that mark another normal path: nearly every window that holds one breaks the rule."""
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


def probability(log_odds: Floats) -> Floats:
    """Sigmoid of log-odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -30.0, 30.0))), np.float64)
