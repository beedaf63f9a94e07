"""What can go wrong in a test bed."""


class TestkitError(Exception):
    """A process, a broker or a topic is not as a test needs it; the message says what to do."""

    __test__ = False  # pytest would collect a class of this name
