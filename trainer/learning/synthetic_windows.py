"""Synthetic windows: normal windows of the target with a defect or a harmless change.

A labeller's answers cover the sequences in the history. Synthetic windows cover similar ones: a step missing, two steps
swapped, a block repeated, a failure in new words, a harmless new line, a rewording. Their labels come from the rules
mined from unlabelled windows, so no answer is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detector.model.calibration import sigmoid
from detector.model.runs import Runs, merged
from trainer.data.signatures import Corpus
from trainer.labelling.rules.evidence import EvidenceModel
from trainer.learning.encoding import WindowSet, namespaced
from trainer.learning.synthetic_lines import SYSTEM, SyntheticLines

_SURE_ANOMALOUS, _SURE_NORMAL = 0.6, 0.2
_MAX_RUNS = 400
_NEW_LINES = (0.4, 0.2, 0.15, 0.15, 0.1)
"""Probability of 0 to 4 harmless new lines in a synthetic window: a release adds several lines at once."""

Edit = Callable[[list[tuple[str, int]], np.random.Generator], list[tuple[str, int]] | None]


@dataclass(frozen=True)
class _Draft:
    """A synthetic window for the network (`seen`), and without synthetic lines for the rules (`ruled`)."""

    seen: Runs
    ruled: Runs
    alarmed: bool


def augment(
    target: Corpus,
    evidence: EvidenceModel,
    lines: SyntheticLines,
    count: int,
    rng: np.random.Generator,
) -> WindowSet:
    """Synthetic windows, event ids namespaced: `count` less those without a clear label by the target's rules."""
    windows = [signature.runs for signature in target.signatures]
    filled = np.array([len(window) > 0 for window in windows])
    normal = np.flatnonzero((sigmoid(evidence.score(windows).log_odds) <= _SURE_NORMAL) & filled)
    if not len(normal) or not count:
        return WindowSet((), np.zeros(0), np.zeros(0))
    share = np.sqrt(np.array([signature.windows for signature in target.signatures], np.float64)[normal])
    chosen = rng.choice(normal, size=count, p=share / share.sum())
    drafts = [
        draft
        for row in chosen
        if (draft := _draft(target.system, windows[int(row)], evidence.events, lines, rng)) is not None
    ]
    doubt = sigmoid(evidence.score([draft.ruled for draft in drafts]).log_odds)
    anomalous = np.array([draft.alarmed for draft in drafts], bool) | (doubt >= _SURE_ANOMALOUS)
    clear = np.flatnonzero(anomalous | (doubt <= _SURE_NORMAL))
    return WindowSet(tuple(drafts[int(row)].seen for row in clear), anomalous[clear].astype(float), np.ones(len(clear)))


def _draft(
    system: str, window: Runs, events: Sequence[str], lines: SyntheticLines, rng: np.random.Generator
) -> _Draft | None:
    runs = list(window)
    kind = rng.random()
    if kind < 0.2:  # noqa: PLR2004 - a line of the system in an unusual place
        stray = (events[int(rng.integers(0, len(events)))], 1)
        runs.insert(int(rng.integers(0, len(runs) + 1)), stray)
    elif kind < 0.7:  # noqa: PLR2004 - change the structure of half of them, to balance the classes
        changed = _STRUCTURE[int(rng.integers(0, len(_STRUCTURE)))](runs, rng)
        if not changed:
            return None
        runs = changed
    ruled = merged(runs)
    seen = list(namespaced(system, ruled))
    if rng.random() < 0.35:  # noqa: PLR2004
        seen = _reword(seen, ruled, lines, rng)
    for _ in range(int(rng.choice(5, p=_NEW_LINES))):
        _insert(seen, lines.harmless, 1, rng)
    alarmed = bool(lines.alarming) and rng.random() < 0.2  # noqa: PLR2004
    if alarmed:
        if rng.random() < 0.6 and len(seen) > 2:  # noqa: PLR2004 - most failures end the session
            seen = seen[: int(rng.integers(1, len(seen)))]
        _insert(seen, lines.alarming, int(rng.choice([1, 2, 4])), rng, late=True)
    if not seen or len(seen) > _MAX_RUNS:
        return None
    return _Draft(merged(seen), ruled, alarmed)


def _insert(
    seen: list[tuple[str, int]], ids: Sequence[str], length: int, rng: np.random.Generator, late: bool = False
) -> None:
    if ids:
        first = len(seen) // 2 if late else 0
        chosen = f"{SYSTEM}/{ids[int(rng.integers(0, len(ids)))]}"
        seen.insert(int(rng.integers(first, len(seen) + 1)), (chosen, length))


def _reword(
    seen: list[tuple[str, int]], ruled: Runs, lines: SyntheticLines, rng: np.random.Generator
) -> list[tuple[str, int]]:
    """Reword one or two of the window's events at all of their places."""
    result = list(seen)
    for _ in range(int(rng.integers(1, 3))):
        event = ruled[int(rng.integers(0, len(ruled)))][0]
        wordings = lines.wordings.get(event, ())
        if wordings:
            other = f"{SYSTEM}/{wordings[int(rng.integers(0, len(wordings)))]}"
            result = [(other if ruled[place][0] == event else name, run) for place, (name, run) in enumerate(result)]
    return result


def _without_event(runs: list[tuple[str, int]], rng: np.random.Generator) -> list[tuple[str, int]] | None:
    event = runs[int(rng.integers(0, len(runs)))][0]
    return [run for run in runs if run[0] != event] or None


def _without_run(runs: list[tuple[str, int]], rng: np.random.Generator) -> list[tuple[str, int]] | None:
    place = int(rng.integers(0, len(runs)))
    return runs[:place] + runs[place + 1 :] or None


def _moved(runs: list[tuple[str, int]], rng: np.random.Generator) -> list[tuple[str, int]] | None:
    if len(runs) < 2:  # noqa: PLR2004
        return None
    later = int(rng.integers(1, len(runs)))
    earlier = max(0, later - int(rng.choice([1, 1, 2, 3, 5])))
    moved = runs[:later] + runs[later + 1 :]
    return [*moved[:earlier], runs[later], *moved[earlier:]]


def _burst(runs: list[tuple[str, int]], rng: np.random.Generator) -> list[tuple[str, int]]:
    width = min(len(runs), int(rng.integers(1, 4)))
    place = int(rng.integers(0, len(runs) - width + 1))
    block, times = runs[place : place + width], int(rng.integers(3, 26))
    if width == 1:
        return [*runs[:place], (block[0][0], block[0][1] + times), *runs[place + 1 :]]
    return [*runs[: place + width], *(block * times), *runs[place + width :]]


def _cut(runs: list[tuple[str, int]], rng: np.random.Generator) -> list[tuple[str, int]] | None:
    return runs[: int(rng.integers(1, len(runs)))] if len(runs) > 1 else None


def _one_more(runs: list[tuple[str, int]], rng: np.random.Generator) -> list[tuple[str, int]]:
    place = int(rng.integers(0, len(runs)))
    event, length = runs[place]
    return [*runs[:place], (event, max(1, length + int(rng.choice([-1, 1, 2])))), *runs[place + 1 :]]


_STRUCTURE: tuple[Edit, ...] = (_without_event, _without_run, _moved, _moved, _burst, _cut, _one_more)
