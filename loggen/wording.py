"""Choice of a service's vocabulary: `<clip|asset>` becomes one of the words, the same one in all of its lines."""

import re
from random import Random

from loggen.workflow import LogStatement

_CHOICE = re.compile(r"<([^<>|]+(?:\|[^<>|]+)+)>")


class Wording:
    """The vocabulary of one service; each choice is drawn when it first occurs."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._chosen: dict[str, str] = {}

    def text(self, text: str) -> str:
        """The text with every choice made."""
        return _CHOICE.sub(lambda match: self._choose(match[1]), text)

    def log(self, step: str, text: str, level: str = "info", part: str = "", pause: float = 0.8) -> LogStatement:
        """A line with every choice made; see `LogStatement`."""
        return LogStatement(step, self.text(text), level, self.text(part), pause)

    def _choose(self, choices: str) -> str:
        if choices not in self._chosen:
            self._chosen[choices] = self._rng.choice(choices.split("|"))
        return self._chosen[choices]
