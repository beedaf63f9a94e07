"""Errors of the benchmark.

BenchError          the run cannot continue: a file has the wrong content
└── MisuseError     an option is wrong (exit code 2)

Errors of Kafka, processes, topics and reference windows are `testkit.errors.TestkitError`.
"""


class BenchError(Exception):
    """The run cannot continue."""


class MisuseError(BenchError):
    """An option is wrong."""
