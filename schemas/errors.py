"""Errors of the wire contracts.

RecordError                 a message is not the record it should be
└── UnknownMajorVersion     it is a record of a future, incompatible version
"""


class RecordError(ValueError):
    """A message cannot be read as the record that its topic promises."""


class UnknownMajorVersion(RecordError):
    """A record's major version is newer than this program understands: upgrade the reader first."""
