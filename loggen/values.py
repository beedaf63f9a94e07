"""Filling in what varies in a line: `{n:1-64}`, `{hex:8}`, `{ip}`, `{$name}` and the like."""

import re
from collections.abc import Callable, Mapping
from random import Random

_FIELD = re.compile(r"\{(\$?)([a-z_]+)(?::(\d+)(?:-(\d+))?)?\}")
_USERS = ("amelia", "bruno", "chidi", "dana", "emeka", "farida", "goran", "hana", "ines", "jonas", "kaoru", "lena")
_FOLDERS = ("spool", "incoming", "cache", "tmp", "export", "shard", "pool", "stage")


def fill(text: str, dice: Random, values: Mapping[str, str]) -> str:
    """The text with every field drawn; `{$name}` takes the session's own value.

    Raises:
        KeyError: a `{$name}` that the session has no value for, or an unknown kind of field.
    """

    def draw(match: re.Match[str]) -> str:
        own, name, low, high = match[1], match[2], match[3], match[4]
        if own:
            return values[name]
        return _draw(name, int(low or 0), int(high or low or 0), dice)

    return _FIELD.sub(draw, text)


def _draw(kind: str, low: int, high: int, dice: Random) -> str:
    if kind not in _KINDS:
        raise KeyError(f"field must be {', '.join(_KINDS)} or $name, got {kind!r}")
    return _KINDS[kind](dice, low, high)


def _uuid(dice: Random) -> str:
    raw = f"{dice.getrandbits(128):032x}"
    return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))


_KINDS: dict[str, Callable[[Random, int, int], str]] = {
    "n": lambda dice, low, high: str(dice.randint(low, high)),
    "dec": lambda dice, low, high: f"{dice.uniform(low, high):.2f}",
    "hex": lambda dice, digits, _: f"{dice.getrandbits(4 * digits):0{digits}x}",
    "ip": lambda dice, *_: f"10.{dice.randint(0, 31)}.{dice.randint(0, 255)}.{dice.randint(1, 254)}",
    "port": lambda dice, *_: str(dice.randint(1024, 65535)),
    "user": lambda dice, *_: dice.choice(_USERS),
    "path": lambda dice, *_: f"/srv/{dice.choice(_FOLDERS)}/{dice.randint(0, 99):02d}/{dice.getrandbits(32):08x}",
    "uuid": lambda dice, *_: _uuid(dice),
}
