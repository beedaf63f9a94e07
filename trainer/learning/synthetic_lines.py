"""Synthetic log lines: harmless ones, alarming ones, and rewordings of known ones.

In production the small model gets lines with words that its training corpora lack. From synthetic lines it learns that
a new line of harmless words changes nothing, and that a new line that describes a failure does. Their words come from
both corpora and the lexicon; some are random syllables, since the vector of an unknown word has a random direction, to
which the model must become indifferent. The only labels used are those of the source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.labelling.rules.lexicon import ALARMING_PHRASES, REASSURING_PHRASES, lexical_words, severity

SYSTEM = "~"
"""Namespace of synthetic events in the event table."""
_LINES = 300
_WORDINGS = 3
_LONGEST = 9
_INVENTED = 0.4
"""Probability that a word of a synthetic line is made of random syllables."""
_ONSETS, _VOWELS = "bcdfghklmnprstvw", "aeiou"
_SUSPECT_ODDS, _ALARMING_ODDS = 2.0, 3.4
"""Log-odds of a target line from which its words do not count as harmless, and from which it counts as alarming."""


@dataclass(frozen=True)
class SyntheticLines:
    """Synthetic lines by kind.

    Attributes:
        texts: event id → text.
        harmless, alarming: ids of new lines.
        wordings: target event id → ids of its rewordings.
    """

    texts: Mapping[str, str]
    harmless: tuple[str, ...]
    alarming: tuple[str, ...]
    wordings: Mapping[str, tuple[str, ...]]


def make_synthetic_lines(
    target: Mapping[str, str],
    target_odds: Mapping[str, float],
    source: Mapping[str, str],
    source_prior: Mapping[str, float],
    rng: np.random.Generator,
) -> SyntheticLines:
    """Make lines from the words of both systems.

    Args:
        target: text of each event of the target.
        target_odds: log-odds for an anomaly that each of them adds to a window; may lack events.
        source: text of each event of the source.
        source_prior: -1 to 1 for each source event, from the source's labels.
        rng: random number generator.
    """
    suspect = [target[event] for event in sorted(target) if target_odds.get(event, 0.0) >= _ALARMING_ODDS]
    known = [target[event] for event in sorted(target) if target_odds.get(event, 0.0) < _SUSPECT_ODDS]
    known += [source[event] for event in sorted(source) if source_prior.get(event, 0.0) <= 0.0]
    # A harmless word that only suspect lines hold must not be learned as harmless.
    neutral = sorted({word for text in known for word in lexical_words(text) if severity(word) == 0.0})
    texts: dict[str, str] = {}
    by_source = [(source_prior.get(event, 0.0), source[event]) for event in sorted(source)]
    harmless = [text for prior, text in by_source if prior <= 0.0 and not _is_alarming(text)]
    alarming = [text for prior, text in by_source if prior >= 0.5 and _is_alarming(text)]  # noqa: PLR2004
    for _ in range(_LINES):
        harmless.append(_sentence(neutral, [], rng))
        alarming.append(_sentence(neutral, [_pick(ALARMING_PHRASES, rng)], rng))
        if rng.random() < 0.4:  # noqa: PLR2004
            harmless.append(_sentence(neutral, [_pick(ALARMING_PHRASES, rng), _pick(REASSURING_PHRASES, rng)], rng))
    harmless_ids = _register(texts, "h", [text for text in harmless if severity(text) <= 0.3])  # noqa: PLR2004
    alarming = [text for text in alarming if severity(text) >= 0.6]  # noqa: PLR2004
    alarming += [_reworded(text, neutral, rng) for text in suspect for _ in range(_WORDINGS)]
    alarming_ids = _register(texts, "a", alarming)
    wordings = {
        event: _register(texts, f"w{event}", [_reworded(target[event], neutral, rng) for _ in range(_WORDINGS)])
        for event in sorted(target)
    }
    return SyntheticLines(texts, harmless_ids, alarming_ids, wordings)


def _is_alarming(text: str) -> bool:
    return severity(text) >= 0.3  # noqa: PLR2004


def _register(texts: dict[str, str], prefix: str, lines: Sequence[str]) -> tuple[str, ...]:
    ids = tuple(f"{prefix}.{number}" for number in range(len(lines)))
    texts.update(zip(ids, lines, strict=True))
    return ids


def _sentence(words: Sequence[str], phrases: list[str], rng: np.random.Generator) -> str:
    count = int(rng.integers(2, _LONGEST))
    parts = [_word(words, rng) for _ in range(count)]
    for phrase in phrases:
        parts.insert(int(rng.integers(0, len(parts) + 1)), phrase)
    return " ".join(parts) or "note"


def _reworded(text: str, words: Sequence[str], rng: np.random.Generator) -> str:
    """Drop, change or add one to three words, like a new version of a program."""
    parts = text.split()
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(0, len(parts) + 1))
        kind = rng.random()
        if kind < 0.25 and len(parts) > 2 and place < len(parts):  # noqa: PLR2004
            del parts[place]
        elif kind < 0.5 and place < len(parts) and words:  # noqa: PLR2004
            parts[place] = _word(words, rng)
        elif words:
            parts.insert(place, _word(words, rng))
    changed = " ".join(parts)
    return changed if severity(changed) <= max(severity(text), 0.0) else text


def _word(words: Sequence[str], rng: np.random.Generator) -> str:
    """A word of the logs, or random syllables."""
    if words and rng.random() >= _INVENTED:
        return _pick(words, rng)
    syllables = int(rng.integers(2, 5))
    return "".join(_pick(_ONSETS, rng) + _pick(_VOWELS, rng) for _ in range(syllables))


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(0, len(choices)))]
