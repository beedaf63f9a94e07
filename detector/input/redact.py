"""Taking secrets and personal data out of log text before it leaves: alerts, prompts, caches, our own logs.

Anybody who can make a program log can write a log line, so control characters (which could move a terminal's cursor
or reverse the reading direction) are escaped as well. Every pattern is bounded or possessive: linear time.
"""

import re

SECRET, EMAIL, ADDRESS, USER = "<redacted-secret>", "<redacted-email>", "<redacted-ip>", "<redacted-user>"

_NAMES = (
    r"passw(?:or)?d|passwd|passphrase|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|secret[_-]?key|private[_-]?key"
    r"|credentials?|auth[_-]?key|session[_-]?id|sessionid|client[_-]?secret|signature|x-api-key|set-cookie|cookie"
)
_IP6 = (
    r"(?<![\w:])(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){0,6}(?:[0-9a-f]{1,4})?::"
    r"(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?)(?![\w:])"
)
_VALUE = r"(?:\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?|[^\s,;&\"'()\[\]{}]++)++"

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), put)
    for pattern, put in (
        (r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\Z)", SECRET),
        (
            r"(\bauthorization[\"']?\s{0,4}[=:]\s{0,4}[\"']?)(?:(?:bearer|basic|digest|token|negotiate)\s{1,4})?[^\s\"',;]++",
            rf"\1{SECRET}",
        ),
        (r"(\b(?:bearer|basic)\s{1,4})(?!<redacted)[A-Za-z0-9._~+/=-]{8,}+", rf"\1{SECRET}"),
        (r"(\b[a-z][a-z0-9+.-]{1,15}://)[^\s/@:]{0,128}(?::[^\s/@]{0,128})?@", rf"\1{SECRET}@"),
        (rf"((?:{_NAMES})[\"']?\s{{0,4}}(?:=>|[=:])\s{{0,4}}){_VALUE}", rf"\1{SECRET}"),
        (r"\beyJ[\w-]{8,}+\.[\w-]++(?:\.[\w-]*+)?", SECRET),
        (
            r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|sk-|pk_live_|sk_live_|rk_live_|AIza|npm_|hf_|dop_v1_)[\w-]{12,}+",
            SECRET,
        ),
        # anything long that mixes cases and digits looks like a key, whoever issued it
        (
            r"(?-i:(?<![\w-])(?=[\w-]{0,64}?[a-z])(?=[\w-]{0,64}?[A-Z])(?=[\w-]{0,64}?\d)[A-Za-z0-9_-]{32,}+={0,2})",
            SECRET,
        ),
        (r"\b(?:AKIA|ASIA|AGPA|AROA)[0-9A-Z]{12,}+\b", SECRET),
        (r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]++@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}", EMAIL),
        (r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)", ADDRESS),
        (_IP6, ADDRESS),
        (r"((?:/home/|/users/|[a-z]:\\{1,2}users\\{1,2}|/export/home/))(?!<redacted)[^\s/\\\"':;,<>]++", rf"\1{USER}"),
        (
            r"(\b(?:user|user[_-]?name|user[_-]?id|uid|login|logname|account|owner|ruser|acct|principal)"
            r"[\"']?\s{0,4}(?:=>|[=:])\s{0,4})" + _VALUE,
            rf"\1{USER}",
        ),
        (r"(\b(?:invalid|unknown|illegal|for)\s{1,4}user\s{1,4})(?!<redacted)[^\s\"'()\[\]{},;:]++", rf"\1{USER}"),
        (r"(\buser\s{1,4})(?:\"[^\"]*+\"?|'[^']*+'?)", rf"\1{USER}"),
    )
)
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def redact(text: str) -> str:
    """The text without secrets, mail addresses, IP addresses and user names, control characters escaped."""
    for pattern, put in _RULES:
        text = pattern.sub(put, text)
    return _UNPRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}"  # noqa: PLR2004 - one byte
