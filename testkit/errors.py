"""What can go wrong in a test bed.

TestkitError            a broker, a topic or a condition is not as a test needs it
├── KafkaUnavailable    a real Kafka cannot be started here
└── ProcessError        a process is not; carries the end of its log
"""


class TestkitError(Exception):
    """A broker, a topic or a condition is not as a test needs it; the message says what to do."""

    __test__ = False  # pytest would collect a class of this name


class KafkaUnavailable(TestkitError):
    """A real Apache Kafka cannot be started here; the text says what is missing and what to install."""


class ProcessError(TestkitError):
    """A process has ended, or does not end or get as far as it must.

    Attributes:
        problem: what is wrong, in one line.
        log: the end of the process's log.
    """

    def __init__(self, problem: str, log: str) -> None:
        super().__init__(f"{problem}:\n{log}")
        self.problem = problem
        self.log = log
