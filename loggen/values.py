"""Values for the fields of a line: `{n:1-64}`, `{hex:8}`, `{ip}`, `{$name}` and others."""

import re
from collections.abc import Callable, Mapping
from random import Random

_FIELD = re.compile(r"\{(\$?)([a-z_]+)(?::(\d+)(?:-(\d+))?)?\}")
_USERS = ("amelia", "bruno", "chidi", "dana", "emeka", "farida", "goran", "hana", "ines", "jonas", "kaoru", "lena")
_FOLDERS = ("spool", "incoming", "cache", "tmp", "export", "shard", "pool", "stage")


def fill(text: str, rng: Random, values: Mapping[str, str]) -> str:
    """The text with a random value for every field; `{$name}` takes the session's own value.

    Raises:
        KeyError: the session has no value for a `{$name}`, or the kind of a field is unknown.
    """

    def draw(match: re.Match[str]) -> str:
        own, name, low, high = match.groups()
        if own:
            return values[name]
        if name not in _KINDS:
            raise KeyError(f"field must be {', '.join(_KINDS)} or $name, got {name!r}")
        return _KINDS[name](rng, int(low or 0), int(high or low or 0))

    return _FIELD.sub(draw, text)


_KINDS: dict[str, Callable[[Random, int, int], str]] = {
    "n": lambda rng, low, high: str(rng.randint(low, high)),
    "dec": lambda rng, low, high: f"{rng.uniform(low, high):.2f}",
    "hex": lambda rng, digits, _: f"{rng.getrandbits(4 * digits):0{digits}x}",
    "ip": lambda rng, *_: f"10.{rng.randint(0, 31)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
    "port": lambda rng, *_: str(rng.randint(1024, 65535)),
    "user": lambda rng, *_: rng.choice(_USERS),
    "path": lambda rng, *_: f"/srv/{rng.choice(_FOLDERS)}/{rng.randint(0, 99):02d}/{rng.getrandbits(32):08x}",
}
