"""Logging: a library that repeats itself is heard once in a while."""

import logging

from fusionlog.settings.logs import OncePerWhile


def record(name: str, message: str) -> logging.LogRecord:
    """A log record."""
    return logging.LogRecord(name, logging.ERROR, "file", 1, message, (), None)


def test_a_library_repeats_itself_only_after_a_while_and_we_always_speak() -> None:
    """The same message of a library is dropped for ten seconds; another message, and ours, are not."""
    now = [0.0]
    once = OncePerWhile(10, clock=lambda: now[0])
    assert once.filter(record("aiokafka.conn", "away"))
    assert not once.filter(record("aiokafka.conn", "away"))
    assert once.filter(record("aiokafka.conn", "back"))
    now[0] = 10
    assert once.filter(record("aiokafka.conn", "away"))
    assert [once.filter(record("agent.app", "same")) for _ in range(2)] == [True, True]
