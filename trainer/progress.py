"""How a run tells what it is at; who shows it, and how, is up to the caller (`fusionlog.render.progress`)."""

from typing import Protocol


class Progress(Protocol):
    """Gets told about stages, one after another, in the order of the run."""

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage begins; `total` is its number of steps where that is known."""
        ...

    def advance(self, steps: int = 1) -> None:
        """Steps of the stage that are done since the last call."""
        ...


class Silent:
    """Progress that nobody looks at."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Take note of nothing."""

    def advance(self, steps: int = 1) -> None:
        """Take note of nothing."""
