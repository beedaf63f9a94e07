"""Rules without a model, on the same windows, so that a score can be judged."""

import re
from collections.abc import Collection, Iterable

KEYWORDS = re.compile(
    rb"\b(?:WARN(?:ING)?|ERROR|SEVERE|FATAL|CRITICAL|FAILURE|EMERG(?:ENCY)?|PANIC|ABORT(?:ED|ING)?|"
    rb"[a-z]*exception|fail(?:ed|ing|s|ure)?|timed out|timeout|unable|cannot|interrupted)\b",
    re.IGNORECASE,
)
"""A severity of warning and above, or a word that people search logs for."""


def keyword(lines: Iterable[bytes]) -> bool:
    """Does a line of the window hold a severity or a keyword?"""
    return any(KEYWORDS.search(line) is not None for line in lines)


def new_event(events: Iterable[str], known: Collection[str]) -> bool:
    """Does the window hold an event that the training part lacks?"""
    return any(event not in known for event in events)
