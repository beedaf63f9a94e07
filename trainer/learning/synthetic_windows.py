"""Made-up windows: usual windows with a defect or a harmless change, labelled by the rules that usual windows keep.

The labels that a labeller gave cover the sequences that history holds; these cover their neighbourhood: a step missing,
two steps swapped, a block repeated, a failure in new words, a harmless new line, another wording. Self-supervised: it
takes unlabelled windows and the rules mined from them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detector.model.scoring import merged
from trainer.data.signatures import Runs
from trainer.labelling.rules.evidence import EvidenceModel, probability
from trainer.learning.encoding import WindowSet, namespaced
from trainer.learning.synthetic_lines import SYSTEM, MadeUpLines

_SURE_ANOMALOUS, _SURE_NORMAL = 0.6, 0.2
_MAX_RUNS = 400

Edit = Callable[[list[tuple[str, int]], np.random.Generator], list[tuple[str, int]] | None]


@dataclass(frozen=True)
class _Draft:
    """A made-up window as the network sees it and, without made-up lines, as the rules see it."""

    seen: Runs
    ruled: Runs
    alarmed: bool


def augment(
    system: str,
    windows: Sequence[Runs],
    weights: Sequence[float],
    evidence: EvidenceModel,
    lines: MadeUpLines,
    count: int,
    dice: np.random.Generator,
) -> WindowSet:
    """About `count` made-up windows whose label is beyond doubt, event ids namespaced.

    Args:
        system: the target's name.
        windows: distinct windows of the target.
        weights: windows of each distinct one.
        evidence: rules of the target.
        lines: made-up lines.
        count: windows to make; doubtful ones are left out.
        dice: source of randomness.
    """
    filled = np.array([len(window) > 0 for window in windows])
    usual = np.flatnonzero((probability(evidence.score(windows).log_odds) <= _SURE_NORMAL) & filled)
    if not len(usual) or not count:
        return WindowSet((), np.zeros(0), np.zeros(0))
    share = np.sqrt(np.array(weights, np.float64)[usual])
    chosen = dice.choice(usual, size=count, p=share / share.sum())
    drafts = [
        draft
        for row in chosen
        if (draft := _draft(system, windows[int(row)], evidence.events, lines, dice)) is not None
    ]
    doubt = probability(evidence.score([draft.ruled for draft in drafts]).log_odds)
    kept, labels = [], []
    for draft, p in zip(drafts, doubt, strict=True):
        if draft.alarmed or p >= _SURE_ANOMALOUS:
            kept.append(draft.seen)
            labels.append(1.0)
        elif p <= _SURE_NORMAL:
            kept.append(draft.seen)
            labels.append(0.0)
    return WindowSet(tuple(kept), np.array(labels), np.ones(len(labels)))


def _draft(
    system: str, window: Runs, events: Sequence[str], lines: MadeUpLines, dice: np.random.Generator
) -> _Draft | None:
    runs = list(window)
    kind = dice.random()
    if kind < 0.2:  # noqa: PLR2004 - a line of the system where it does not usually stand
        stray = (events[int(dice.integers(0, len(events)))], 1)
        runs.insert(int(dice.integers(0, len(runs) + 1)), stray)
    elif kind < 0.7:  # noqa: PLR2004 - most get a change of structure, so that both classes are well filled
        changed = _STRUCTURE[int(dice.integers(0, len(_STRUCTURE)))](runs, dice)
        if not changed:
            return None
        runs = changed
    ruled = merged(runs)
    seen = list(namespaced(system, ruled))
    if dice.random() < 0.35:  # noqa: PLR2004
        seen = _reword(seen, ruled, lines, dice)
    for _ in range(int(dice.choice([0, 1, 2], p=[0.5, 0.35, 0.15]))):
        _insert(seen, lines.harmless, 1, dice)
    alarmed = bool(lines.alarming) and dice.random() < 0.2  # noqa: PLR2004
    if alarmed:
        if dice.random() < 0.6 and len(seen) > 2:  # noqa: PLR2004 - most failures end what they hit
            seen = seen[: int(dice.integers(1, len(seen)))]
        _insert(seen, lines.alarming, int(dice.choice([1, 2, 4])), dice, late=True)
    if not seen or len(seen) > _MAX_RUNS:
        return None
    return _Draft(merged(seen), ruled, alarmed)


def _insert(
    seen: list[tuple[str, int]], ids: Sequence[str], length: int, dice: np.random.Generator, late: bool = False
) -> None:
    if ids:
        first = len(seen) // 2 if late else 0
        chosen = f"{SYSTEM}/{ids[int(dice.integers(0, len(ids)))]}"
        seen.insert(int(dice.integers(first, len(seen) + 1)), (chosen, length))


def _reword(
    seen: list[tuple[str, int]], ruled: Runs, lines: MadeUpLines, dice: np.random.Generator
) -> list[tuple[str, int]]:
    """One or two of the window's events in another wording, wherever they stand."""
    result = list(seen)
    for _ in range(int(dice.integers(1, 3))):
        event = ruled[int(dice.integers(0, len(ruled)))][0]
        wordings = lines.wordings.get(event, ())
        if wordings:
            other = f"{SYSTEM}/{wordings[int(dice.integers(0, len(wordings)))]}"
            result = [(other if ruled[place][0] == event else name, run) for place, (name, run) in enumerate(result)]
    return result


def _without_event(runs: list[tuple[str, int]], dice: np.random.Generator) -> list[tuple[str, int]] | None:
    event = runs[int(dice.integers(0, len(runs)))][0]
    return [run for run in runs if run[0] != event] or None


def _without_run(runs: list[tuple[str, int]], dice: np.random.Generator) -> list[tuple[str, int]] | None:
    place = int(dice.integers(0, len(runs)))
    return runs[:place] + runs[place + 1 :] or None


def _moved(runs: list[tuple[str, int]], dice: np.random.Generator) -> list[tuple[str, int]] | None:
    if len(runs) < 2:  # noqa: PLR2004
        return None
    later = int(dice.integers(1, len(runs)))
    earlier = max(0, later - int(dice.choice([1, 1, 2, 3, 5])))
    moved = runs[:later] + runs[later + 1 :]
    return [*moved[:earlier], runs[later], *moved[earlier:]]


def _storm(runs: list[tuple[str, int]], dice: np.random.Generator) -> list[tuple[str, int]]:
    width = min(len(runs), int(dice.integers(1, 4)))
    place = int(dice.integers(0, len(runs) - width + 1))
    block, times = runs[place : place + width], int(dice.integers(3, 26))
    if width == 1:
        return [*runs[:place], (block[0][0], block[0][1] + times), *runs[place + 1 :]]
    return [*runs[: place + width], *(block * times), *runs[place + width :]]


def _cut(runs: list[tuple[str, int]], dice: np.random.Generator) -> list[tuple[str, int]] | None:
    return runs[: int(dice.integers(1, len(runs)))] if len(runs) > 1 else None


def _one_more(runs: list[tuple[str, int]], dice: np.random.Generator) -> list[tuple[str, int]]:
    place = int(dice.integers(0, len(runs)))
    event, length = runs[place]
    return [*runs[:place], (event, max(1, length + int(dice.choice([-1, 1, 2])))), *runs[place + 1 :]]


_STRUCTURE: tuple[Edit, ...] = (_without_event, _without_run, _moved, _moved, _storm, _cut, _one_more)
