"""Errors of the benchmark.

BenchError          the run cannot go on: a process died, Kafka does not answer, a file is not what it should be
└── MisuseError     the command line asks for something that cannot be (exit code 2)
"""


class BenchError(Exception):
    """The run cannot go on."""


class MisuseError(BenchError):
    """The command line asks for something that cannot be."""
