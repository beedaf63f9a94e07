"""Learns a system's templates: Drain on a sample of its lines, frozen afterwards (docs/method.md#templates)."""

import random
from collections.abc import Iterable, Iterator

from detector.errors import DecodeError
from detector.input.redact import without_secrets
from detector.parsing.drain import IncrementalDrain
from detector.parsing.templates import Template, TemplateMatcher, is_wildcards_alone
from detector.partition_reader import SystemReader
from detector.system import SystemSpec
from trainer.data.lines import Line

SAMPLE_LINES = 250_000
_DRAWN_SHARE = 5  # a fifth of the sample is drawn from what comes after the beginning, and held in memory meanwhile


def learn_templates(
    lines: Iterable[Line],
    spec: SystemSpec,
    sample_lines: int = SAMPLE_LINES,
    seed: int = 0,
    existing: Iterable[str] = (),
) -> tuple[Template, ...]:
    """Learn Drain on the first lines and a random sample of the others, in their order; no template holds a secret.

    `existing` are texts of templates that are known before.
    """
    reader = SystemReader(spec, TemplateMatcher(()))  # without templates, an event's text is the masked line
    drain = IncrementalDrain()
    drain.load(kept for text in existing if (kept := _without_secrets(text)) is not None)
    seen: set[str] = set()
    for line in sample(lines, sample_lines, random.Random(seed)):  # noqa: S311 (a sample, not a secret)
        try:
            found = reader.lines(line)
        except DecodeError:
            continue
        for read in found:
            masked = read.event.text
            if masked not in seen:  # the same line again teaches nothing
                seen.add(masked)
                text = _without_secrets(masked)
                if text is not None:
                    drain.learn(text)
    return drain.templates()


def _without_secrets(text: str) -> str | None:
    """The text, its secrets as wildcards; None where it held nothing else."""
    kept = without_secrets(text, keep_users=True)
    return None if kept != text and is_wildcards_alone(kept) else kept


def sample(lines: Iterable[Line], size: int, rng: random.Random) -> Iterator[Line]:
    """Four fifths of the sample from the beginning, a fifth drawn evenly from all lines that follow; in their order."""
    room = size // _DRAWN_SHARE
    first = size - room
    drawn: list[tuple[int, Line]] = []
    for number, line in enumerate(lines):
        if number < first:
            yield line
        elif len(drawn) < room:
            drawn.append((number, line))
        elif (slot := rng.randrange(number - first + 1)) < room:
            drawn[slot] = (number, line)
    for _, line in sorted(drawn, key=lambda one: one[0]):
        yield line
