"""Masks: what varies in a line (addresses, ids, numbers, paths) becomes a word in angle brackets.

One fused pattern is applied per token, instead of one pass per mask over the line, and results are cached per token:
most tokens of a log have been seen before. Every built-in alternative starts at a boundary and fails
without backtracking over what it has read (possessive quantifiers), so the time is linear in the line.
"""

import re
from collections.abc import Sequence
from sys import intern

from detector.parsing.mask_rule import MaskRule
from detector.parsing.templates import WILDCARD

MEMO_TOKENS = 65_536
MEMO_TOKEN_CHARACTERS = 64
TOKEN_CHARACTERS = 128
"""A token that is longer after masking (a blob, a document without spaces) becomes `<LONG>`."""

_START = r"(?<![A-Za-z0-9])"
_END = r"(?![A-Za-z0-9])"
_IP = r"(?:\d{1,3}\.){3}\d{1,3}"
_IP6 = (
    r"(?<![A-Za-z0-9:])(?=[A-Fa-f:]{0,38}\d)"
    r"(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}"
    r"|(?:[0-9A-Fa-f]{1,4}:){0,6}(?:[0-9A-Fa-f]{1,4})?::(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})?)"
    r"(?:%\w{1,16})?(?![A-Za-z0-9:])"
)

# (mask, pattern); the first that fits at a place wins. An empty mask keeps what it matches.
_MASKS: tuple[tuple[str, str], ...] = (
    ("", r"<[A-Z][A-Z0-9_]{0,31}>"),  # masks already set by extra rules
    ("PATH", _START + r"[A-Za-z][A-Za-z0-9+.-]{1,15}://[^\s\"'<>,;)\]}]++"),
    ("UUID", _START + r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}" + _END),
    (
        "TIME",
        _START
        + r"\d{4}[-/.]\d{2}[-/.]\d{2}(?:[T_-]\d{2}[:.]\d{2}[:.]\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?"
        + _END,
    ),
    ("ID", _START + r"(?:[0-9A-Fa-f]{2}[:-]){5,31}[0-9A-Fa-f]{2}" + _END),  # MAC, WWN, fingerprint
    ("TIME", _START + r"\d{1,2}:\d{2}:\d{2}(?:[.,]\d{1,9})?" + _END),
    ("IP", _START + _IP + r"(?::\d{1,5}|/\d{1,2})?" + _END),
    ("IP", _IP6),
    ("PATH", r"(?<![\w.])(?:[A-Za-z]:)?\\[^\s\\\"'<>|:*?]++(?:\\[^\s\\\"'<>|:*?]*+)++"),
    ("PATH", r"(?<![\w.>])/[\w.~%+@-]++(?:/[\w.~%+@:=-]*+)++(?:\?[^\s\"'<>]*+)?"),
    ("HEX", _START + r"0[xX][0-9A-Fa-f]++" + _END),
    ("ID", _START + r"[A-Za-z]{1,32}_-?\d{4,}+(?:_[0-9A-Za-z]{1,16}){0,8}" + _END),
    (
        "NUM",
        r"(?<![A-Za-z0-9])(?:(?<![.,:/_-])[-+])?\d++(?:[.,]\d++)*+(?:[eE][-+]?\d{1,4}|[kKMGTP]i?[bB]?|[bB]|[mun]?s|%)?(?![A-Za-z0-9])",
    ),
    ("HEX", _START + r"(?=[0-9A-Fa-f]*?\d)(?=[0-9A-Fa-f]{6})[0-9A-Fa-f]++" + _END),
)
_NAMES = tuple(f"<{name}>" if name else "" for name, _ in _MASKS)
_FUSED = re.compile("|".join(f"({pattern})" for _, pattern in _MASKS), re.ASCII)
_REPEATED = re.compile(r"(<[A-Z][A-Z0-9_]{0,31}>)(?:[,;]\1)++")
_PLAIN = re.compile(r"[^\d/\\<]*+", re.ASCII)


class Masker:
    """Masks lines: the built-in masks (`robust` profile, paper section II with more masks) after `extra` ones.

    Extra rules run one after another over the whole line, so they may span tokens.
    """

    def __init__(self, extra: Sequence[MaskRule] = (), max_tokens: int = 256) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {max_tokens}")
        self._extra = tuple((re.compile(rule.pattern), f"<{rule.name}>") for rule in extra)
        self._max_tokens = max_tokens
        self._memo: dict[str, str] = {}

    def mask(self, text: str) -> str:
        """The masked line: tokens one space apart, equal masked tokens in a row once, at most `max_tokens`."""
        for pattern, name in self._extra:
            text = pattern.sub(lambda found, name=name: name if found.group() else "", text)  # type: ignore[misc]
        known = self._memo.get
        masked: list[str] = []
        previous = ""
        for token in text.split():
            word = known(token) or self._remember(token)
            # Words are interned, so identity is equality.
            if word is previous and "<" in word:
                continue
            masked.append(word)
            previous = word
        return " ".join(masked[: self._max_tokens])

    def _remember(self, token: str) -> str:
        word = intern(mask_token(token))
        if len(token) <= MEMO_TOKEN_CHARACTERS:
            if len(self._memo) >= MEMO_TOKENS:
                self._memo.clear()
            self._memo[token] = word
        return word


def mask_token(token: str) -> str:
    """The token with its variable parts masked."""
    if _PLAIN.fullmatch(token):
        return token if len(token) <= TOKEN_CHARACTERS else "<LONG>"
    # A wildcard in the line itself would, learned as a template, match every line of its length.
    word = _FUSED.sub(_name, token.replace(WILDCARD, "(*)"))
    word = _REPEATED.sub(r"\1", word)
    return word if len(word) <= TOKEN_CHARACTERS else "<LONG>"


def _name(found: re.Match[str]) -> str:
    index = found.lastindex
    assert index is not None
    return _NAMES[index - 1] or found.group()
