"""Errors of the command line.

MissingExtra            the packages of an extra are not installed
DemoError               a step of the demo failed
"""


class MissingExtra(Exception):
    """A command needs packages that are not installed; the message says how to install them."""


class DemoError(Exception):
    """A step of the demo failed: a program ended early, lines are missing, or something took too long.

    Attributes:
        log: the end of the log of the program that failed; empty if no program did.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log
