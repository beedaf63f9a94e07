import pytest

from trainer.labelling.rules.lexicon import severity


@pytest.mark.parametrize(
    ("alarming", "harmless"),
    [
        ("disk write failed on <PATH>", "disk write done on <PATH>"),
        ("connection to upstream timed out", "connection to upstream open"),
        ("unhandled exception in worker", "unhandled exception in worker, recovered"),
        ("request failed", "self test: 0 failed requests"),
        ("retry failed", "retry succeeded after error"),
        ("parity error", "parity error corrected"),
        ("bad block", "no bad blocks"),
    ],
)
def test_failures_read_worse_than_their_harmless_twins(alarming: str, harmless: str) -> None:
    """Negation and recovery take most of the alarm out of a line, and neutral lines have none."""
    assert severity(alarming) >= 0.6
    assert severity(harmless) <= 0.3


def test_severity_stays_on_its_scale() -> None:
    """Many words of alarm do not add up beyond 1, and an empty line is neutral."""
    assert severity("fatal panic crash exception abort " * 50) == 1.0
    assert severity("") == 0.0


def test_identifiers_are_split_before_they_are_read() -> None:
    """The words inside camel case count."""
    assert severity("BlockReceiver raised WriteTimeoutError") >= 0.6
