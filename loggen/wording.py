"""Choosing a service's vocabulary: in `<clip|asset>`, one of the words, the same one in all lines of the service."""

import re
from random import Random

from loggen.workflow import Say

_CHOICE = re.compile(r"<([^<>|]+(?:\|[^<>|]+)+)>")


class Wording:
    """The vocabulary of one service, drawn with its dice as the choices first come up."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._chosen: dict[str, str] = {}

    def text(self, text: str) -> str:
        """The text with every choice made."""
        return _CHOICE.sub(lambda match: self._choose(match[1]), text)

    def say(self, step: str, text: str, level: str = "info", part: str = "", pause: float = 0.8) -> Say:
        """A line with every choice made; see `Say`."""
        return Say(step, self.text(text), level, self.text(part), pause)

    def _choose(self, choices: str) -> str:
        if choices not in self._chosen:
            self._chosen[choices] = self._dice.choice(choices.split("|"))
        return self._chosen[choices]
