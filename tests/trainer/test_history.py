"""Which histories can carry a model, by counts and by answers."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detector.parsing.templates import TemplateMatcher
from detector.system import SystemSpec
from tests.trainer.tiny_run import tiny_settings
from trainer.data.corpus import build_corpus, read_corpus
from trainer.data.lines import TargetLine
from trainer.data.sources import Target, open_target
from trainer.errors import SourceError
from trainer.history import (
    LEAST_ANSWERS,
    LEAST_DISTINCT,
    check_corpus,
    check_history,
    problems_of_answers,
    problems_of_corpus,
)
from trainer.learning.evaluation import Share, TrainingMetrics
from trainer.testing import corpus

COUNT = {"kind": "count", "max_lines": 5}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def target(content: bytes, **spec: Any) -> Target:
    """A file with this content."""
    settings = SystemSpec.model_validate({"name": "shop", **spec})

    def lines() -> Iterator[TargetLine]:
        for number, line in enumerate(content.splitlines()):
            yield TargetLine(line, -1, "shop.log", 0, number)

    return Target(settings, lines)


def random_words(count: int) -> bytes:
    """Lines of words that never come again."""
    rng = random.Random(1)
    words = ("".join(rng.choices(LETTERS, k=8)) for _ in range(6 * count))
    return b"".join(" ".join(next(words) for _ in range(6)).encode() + b"\n" for _ in range(count))


def varied(count: int, key: str = "order=o{}") -> bytes:
    """Windows of 1 to `count` lines, each distinct."""
    lines = [f"item picked {key.format(n)}\n" for n in range(count) for _ in range(n + 1)]
    return "".join(lines).encode()


@pytest.mark.parametrize(
    ("content", "spec", "message"),
    [
        (random.Random(1).randbytes(60_000), {}, "must have readable lines, got"),
        (random.Random(1).randbytes(60_000), {"window": COUNT}, "must have readable lines, got"),
        (random_words(600), {"window": COUNT}, "must have lines that repeat, got 600 different events in 600 lines"),
        (random_words(600), {"key_pattern": "(^[a-z]+)"}, "must have lines that repeat"),
        (varied(30), {"key_pattern": r"client=(\w+)"}, "got 465 of 465 readable lines that name no key"),
        (
            varied(20) * 20 + b"item picked client=1\n",
            {"key_pattern": r"client=(\w+)"},
            "got 4200 of 4201 readable lines that name no key",
        ),
        (varied(10), {"key_pattern": r"order=(\w+)"}, "at least 16 distinct windows, got 10 in 10 windows"),
        (b"all is well\n" * 200, {"window": COUNT}, "at least 16 distinct windows, got 1 in 40 windows"),
    ],
)
def test_what_cannot_carry_a_model_is_refused_by_its_first_lines(
    content: bytes, spec: dict[str, Any], message: str
) -> None:
    """Random bytes, random text, no key, too few distinct windows: each with its numbers and the way out."""
    with pytest.raises(SourceError) as caught:
        check_history(target(content, **spec))
    assert message in str(caught.value)
    assert "--force trains all the same" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_the_first_lines_of_a_large_file_are_read() -> None:
    """A topic of years is judged by its first 10,000 lines, and not refused for the windows that these hold."""
    read = 0

    def lines() -> Iterator[TargetLine]:
        nonlocal read
        while True:
            yield TargetLine(b"all is well", -1, "shop.log", 0, read)
            read += 1

    check_history(Target(SystemSpec.model_validate({"name": "shop", "window": COUNT}), lines))
    assert read <= 10_000


@pytest.mark.parametrize(
    ("content", "spec"),
    [
        (varied(LEAST_DISTINCT), {"key_pattern": r"order=(\w+)"}),
        (varied(30) + b"\xff\xfe\n" * 400, {"key_pattern": r"order=(\w+)"}),
        (varied(30) + b"no key here\n" * 4_000, {"key_pattern": r"order=(\w+)"}),
        (random_words(100) + varied(40), {"window": COUNT}),
        (
            b"no key here\n" * 900 + random_words(90).replace(b"\n", b" order=first\n") + varied(40),
            {"key_pattern": r"order=(\w+)"},
        ),
    ],
)
def test_a_history_with_flaws_is_taken(content: bytes, spec: dict[str, Any]) -> None:
    """The least number of windows, many unreadable or keyless lines, a start whose few lines with a key differ."""
    stream = target(content, **spec)
    check_history(stream)
    lines = list(stream.lines())
    found = build_corpus(lines, stream.spec, TemplateMatcher(()))
    assert problems_of_corpus(found, stream.spec) == ()


def test_the_whole_corpus_is_held_to_the_same_limits() -> None:
    """What lies behind the first lines counts, too: the share of keyless lines, and the distinct windows."""
    spec = SystemSpec(name="shop", key_pattern=r"order=(\w+)")
    few = corpus([["recv"] * n for n in range(1, LEAST_DISTINCT)])
    with pytest.raises(SourceError, match="at least 16 distinct windows, got 15"):
        check_corpus(few, spec)
    stream = target(varied(20) + b"no key here\n" * 25_000, key_pattern=r"order=(\w+)")
    found = build_corpus(stream.lines(), stream.spec, TemplateMatcher(()))
    assert found.keyless_lines == 25_000
    assert "got 25000 of 25210 readable lines that name no key" in problems_of_corpus(found, stream.spec)[0]


def test_a_short_history_is_held_to_the_same_limit_on_events_before_and_after() -> None:
    """Few lines can all differ: neither the check of the file nor that of the corpus refuses them for it."""
    stream = target(random_words(400), window=COUNT)
    check_history(stream)
    check_corpus(build_corpus(stream.lines(), stream.spec, TemplateMatcher(())), stream.spec)


def test_a_long_start_without_keys_is_no_reason_to_refuse_what_follows() -> None:
    """The first lines say nothing of the share of keys where they are not all; the whole corpus is judged by it."""
    stream = target(b"driver loaded\n" * 10_000 + varied(40), key_pattern=r"order=(\w+)")
    check_history(stream)
    check_corpus(build_corpus(stream.lines(), stream.spec, TemplateMatcher(())), stream.spec)


def test_a_tiny_system_of_orders_passes(tmp_path: Path) -> None:
    """The history that the other tests train on."""
    stream = open_target(tiny_settings(tmp_path))
    check_history(stream)
    found, _ = read_corpus(stream)
    check_corpus(found, stream.spec)


def metrics(anomalous: int = 5, abstentions: int = 0, answers: int = 60, judging: int = 60) -> TrainingMetrics:
    """Metrics of a training with these answers."""
    return TrainingMetrics(
        answers=answers,
        abstentions=abstentions,
        anomalous_answers=anomalous,
        guard=Share(0.9, 0.5, 1.0, judging),
        readiness=Share(0.9, 0.5, 1.0, 4),
        neighbors_agree=0.9,
        alert_rate=0.02,
    )


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (metrics(anomalous=0), "must find normal and anomalous windows, got no anomalous one among 60 answers"),
        (metrics(anomalous=50, abstentions=10), "got no normal one among 50 answers"),
        (metrics(abstentions=31), "at most 50% of the answers may be abstentions or unreadable, got 31 of 60"),
        (metrics(judging=LEAST_ANSWERS - 1), "at least 16 answers must teach and judge the model, got 15"),
    ],
)
def test_answers_that_carry_no_model_are_named(made: TrainingMetrics, message: str) -> None:
    """One class, mostly abstentions, too few answers: one problem each."""
    (problem,) = problems_of_answers(made)
    assert message in problem


def test_answers_at_the_limits_carry_a_model() -> None:
    """One anomalous answer, half of them abstentions, sixteen that judge."""
    assert problems_of_answers(metrics(anomalous=1, abstentions=30, judging=LEAST_ANSWERS)) == ()
