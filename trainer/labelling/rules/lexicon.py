"""Severity of the words of a log line, independent of the system that wrote it.

The scale is -0.3 (something recovered) to 1.0 (something broke). Words are matched by stem,
so `failed`, `failure` and `failing` weigh the same; a negation just before a word, or a word of recovery anywhere,
takes most of its weight away, since `0 errors`, `retry succeeded` and `error corrected` are routine.
"""

import re

_SEVERE = (
    "panic fatal crash corrupt exception abort killed oom segfault segv deadlock emergency unrecoverable uncorrectable"
    " unexpected violat breach fault stuck exhaust overflow critical severe alarm died dead unhandled integrity tamper"
)
_BAD = (
    "error err fail denied deny refus reject timeout unreach lost loss unable cannot missing invalid illegal broken"
    " conflict mismatch exceed disconnect drop unavailable expir inconsisten stall wrong bad rollback revert"
    " leak starv misroute orphan unrespons unauthor forbidden overheat overrun malform damag unknown degrad quarantin"
    " discrepan abandon evict escalat insufficien absent never partial incomplet bogus unsafe hung hang jam spoil"
    " overdue overload underrun truncat undeliver impossible collision unsuccess unresolv abnormal unhealth"
)
_MILD = (
    "warn retry retri slow delay interrupt late redundant skip suspic backoff postpon unusual congest wait stale defer"
)
_RECOVERY = (
    "correct recover succe resolv clear heal restor ok fixed ignor harmless optional nonfatal tolerat fallback default"
    " handled benign suppress transient expected graceful normal passed complet healthy regain resum deprecat"
    " cosmetic advisory informational"
)
_NEGATION = frozenset({"no", "0", "zero", "without", "not", "none", "non", "free"})
_NOT_BAD_ALONE = frozenset({"exceptions", "errors", "failures", "warnings", "faults", "timeouts", "retries", "drops"})
_PHRASES = ("not found", "timed out", "out of memory", "not responding", "out of range", "out of sync", "not belong",
            "no response", "no route", "not available", "no such", "not allowed", "gave up", "giving up", "no space",
            "cut off", "no reply", "no heartbeat", "out of order", "no answer", "not match")  # fmt: skip
_REASSURANCES = (
    "within limit", "within range", "within toleranc", "within budget", "in range", "as planned",
    "as configured", "on schedule", "no action", "not needed", "can be ignored", "will retry",
)  # fmt: skip
_EXACT = frozenset(
    {"err", "ok", "bad", "late", "wait", "lost", "loss", "dead", "died", "oom", "jam", "hung", "hang", "never"}
)
_NUMBER = "<num>"
_COUNTER = 0.15  # `<NUM> alignment exceptions` is a statistic, whose number was masked
_WORD = re.compile(r"<[a-z]+>|\d+|[a-z]+")
_COUNT_FIRST = re.compile(r"\s*(?:<NUM>|<\*>|\d)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _stems(words: str) -> tuple[str, ...]:
    return tuple(sorted(words.split(), key=len, reverse=True))


_WEIGHTS = ((1.0, _stems(_SEVERE)), (0.75, _stems(_BAD)), (0.3, _stems(_MILD)))
_RECOVERY_STEMS = _stems(_RECOVERY)


def lexical_words(text: str) -> list[str]:
    """Lower-case words, numbers and masks of a template, camel case split."""
    return _WORD.findall(_CAMEL.sub(" ", text).lower())


def severity(text: str) -> float:
    """How alarming `text` reads, -0.3 to 1.0; 0.0 for neutral lines."""
    words = lexical_words(text)
    joined = " ".join(words)
    score = 0.8 if any(phrase in joined for phrase in _PHRASES) else 0.0
    counter = bool(_COUNT_FIRST.match(text))
    for position, word in enumerate(words):
        score = max(score, _word_weight(words, position, word, counter))
    recovered = any(_stands(word, stem) for word in words for stem in _RECOVERY_STEMS)
    if recovered or any(phrase in joined for phrase in _REASSURANCES):
        return 0.1 * score if score > 0.0 else -0.3
    return score


def _word_weight(words: list[str], position: int, word: str, counter: bool) -> float:
    for weight, stems in _WEIGHTS:
        if any(_stands(word, stem) for stem in stems):
            before = words[max(0, position - 2) : position]
            if any(other in _NEGATION for other in before):
                return 0.1 * weight
            counted = word in _NOT_BAD_ALONE and (counter or any(_is_number(other) for other in before))
            return _COUNTER * weight if counted else weight
    return 0.0


def _is_number(word: str) -> bool:
    return word == _NUMBER or word.isdigit()


def _stands(word: str, stem: str) -> bool:
    return word == stem if stem in _EXACT else word.startswith(stem)


ALARMING_PHRASES = (
    "failed", "error", "timed out", "refused", "exception", "crashed", "lost", "rejected", "aborted", "corrupt",
    "unreachable", "denied", "cannot continue", "not found", "panic", "fatal", "invalid", "no response", "killed",
    "no space left", "mismatch", "expired", "disconnected", "deadlock", "gave up", "violation", "stuck", "dropped",
    "unavailable", "out of memory", "exceeded", "damaged", "inconsistent", "rolled back", "abandoned", "overflow",
)  # fmt: skip
"""Wordings of failures, for synthetic lines."""
REASSURING_PHRASES = (
    "retry succeeded", "corrected", "recovered", "0 errors", "without errors", "passed", "restored", "no failures",
    "resolved", "using default", "ignored", "0 failed", "completed ok", "cleared",
)  # fmt: skip
"""Wordings that make an alarming line harmless, for synthetic lines."""
