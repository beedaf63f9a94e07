"""Lines that no corpus holds: harmless and alarming ones, and other wordings of known ones.

The small model meets words that it never saw in training; here it learns that a new line of harmless words changes
nothing and one that reads like a failure does. Words come from both corpora, from the lexicon, and from nowhere: the
vector of an unknown word points anywhere, and a model that has met none has no reason to be indifferent to it. No label
is used but the source's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.labelling.rules.lexicon import ALARMING_PHRASES, REASSURING_PHRASES, lexical_words, severity

SYSTEM = "~"
"""Namespace of made-up events in the event table."""
_LINES = 300
_WORDINGS = 3
_LONGEST = 9
_INVENTED = 0.4
"""Chance of a word of a made-up line to be one that no log holds."""
_ONSETS, _VOWELS = "bcdfghklmnprstvw", "aeiou"
_SUSPECT_ODDS, _ALARMING_ODDS = 2.0, 3.4
"""Lines of the target from which on their words are not taken for harmless, and from which on they are for alarming."""


@dataclass(frozen=True)
class MadeUpLines:
    """Texts by event id, and which ids are of which kind.

    Attributes:
        texts: event id → text.
        harmless, alarming: ids of new lines.
        wordings: target event id → ids of its other wordings.
    """

    texts: Mapping[str, str]
    harmless: tuple[str, ...]
    alarming: tuple[str, ...]
    wordings: Mapping[str, tuple[str, ...]]


def make_up_lines(
    target: Mapping[str, str],
    target_odds: Mapping[str, float],
    source: Mapping[str, str],
    source_alarm: Mapping[str, float],
    dice: np.random.Generator,
) -> MadeUpLines:
    """Lines in the words of both systems.

    Args:
        target: text of each event of the target.
        target_odds: log-odds for an anomaly that each of them adds to a window; may lack events.
        source: text of each event of the source.
        source_alarm: -1 to 1 for each source event, from the source's labels.
        dice: source of randomness.
    """
    suspect = [target[event] for event in sorted(target) if target_odds.get(event, 0.0) >= _ALARMING_ODDS]
    known = [target[event] for event in sorted(target) if target_odds.get(event, 0.0) < _SUSPECT_ODDS]
    known += [source[event] for event in sorted(source) if source_alarm.get(event, 0.0) <= 0.0]
    # Words that stand in suspect lines alone (and read harmless) must not be taught to be harmless.
    neutral = sorted({word for text in known for word in lexical_words(text) if severity(word) == 0.0})
    texts: dict[str, str] = {}
    by_source = [(source_alarm.get(event, 0.0), source[event]) for event in sorted(source)]
    harmless = [text for alarm, text in by_source if alarm <= 0.0 and not _alarms(text)]
    alarming = [text for alarm, text in by_source if alarm >= 0.5 and _alarms(text)]  # noqa: PLR2004
    for _ in range(_LINES):
        harmless.append(_sentence(neutral, [], dice))
        alarming.append(_sentence(neutral, [_pick(ALARMING_PHRASES, dice)], dice))
        if dice.random() < 0.4:  # noqa: PLR2004 - a good part, not most
            harmless.append(_sentence(neutral, [_pick(ALARMING_PHRASES, dice), _pick(REASSURING_PHRASES, dice)], dice))
    harmless_ids = _register(texts, "h", [text for text in harmless if severity(text) <= 0.3])  # noqa: PLR2004
    alarming = [text for text in alarming if severity(text) >= 0.6]  # noqa: PLR2004
    alarming += [_reworded(text, neutral, dice) for text in suspect for _ in range(_WORDINGS)]
    alarming_ids = _register(texts, "a", alarming)
    wordings = {
        event: _register(texts, f"w{event}", [_reworded(target[event], neutral, dice) for _ in range(_WORDINGS)])
        for event in sorted(target)
    }
    return MadeUpLines(texts, harmless_ids, alarming_ids, wordings)


def _alarms(text: str) -> bool:
    return severity(text) >= 0.3  # noqa: PLR2004


def _register(texts: dict[str, str], prefix: str, lines: Sequence[str]) -> tuple[str, ...]:
    ids = tuple(f"{prefix}.{number}" for number in range(len(lines)))
    texts.update(zip(ids, lines, strict=True))
    return ids


def _sentence(words: Sequence[str], phrases: list[str], dice: np.random.Generator) -> str:
    count = int(dice.integers(2, _LONGEST))
    parts = [_word(words, dice) for _ in range(count)]
    for phrase in phrases:
        parts.insert(int(dice.integers(0, len(parts) + 1)), phrase)
    return " ".join(parts) or "note"


def _reworded(text: str, words: Sequence[str], dice: np.random.Generator) -> str:
    """A word or two dropped, changed or added, as a new version of a program does."""
    parts = text.split()
    for _ in range(int(dice.integers(1, 4))):
        place = int(dice.integers(0, len(parts) + 1))
        kind = dice.random()
        if kind < 0.25 and len(parts) > 2 and place < len(parts):  # noqa: PLR2004
            del parts[place]
        elif kind < 0.5 and place < len(parts) and words:  # noqa: PLR2004
            parts[place] = _word(words, dice)
        elif words:
            parts.insert(place, _word(words, dice))
    changed = " ".join(parts)
    return changed if severity(changed) <= max(severity(text), 0.0) else text


def _word(words: Sequence[str], dice: np.random.Generator) -> str:
    """A word of the logs, or one that nobody has ever written."""
    if words and dice.random() >= _INVENTED:
        return _pick(words, dice)
    syllables = int(dice.integers(2, 5))
    return "".join(_pick(_ONSETS, dice) + _pick(_VOWELS, dice) for _ in range(syllables))


def _pick(choices: Sequence[str], dice: np.random.Generator) -> str:
    return choices[int(dice.integers(0, len(choices)))]
