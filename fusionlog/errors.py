"""Errors of the command line.

MissingExtra            the packages of an extra are not installed
DemoError               (fusionlog/demo/errors.py) a step of the demo failed
"""


class MissingExtra(Exception):
    """A command needs packages that are not installed; the message says how to install them."""
