"""Records on their way to the broker: how a stage's output is encoded, and how a dead letter is cut to fit."""

import hashlib
from dataclasses import dataclass, replace

from agent.errors import OutputTooLarge
from agent.stages.stage import Output, TopicRole
from schemas.codec import Record, encode
from schemas.topics import Topics

CUT_BYTES = (900_000, 200_000, 40_000, 4_000, 0)
"""Sizes that a dead letter is cut to, one after the other, when the broker refuses it as too large."""
CUT_KEY_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written.

    Attributes:
        cuttable: may lose the end of its value, then its foreign headers, if the broker refuses it as too large.
        foreign_headers: how many of the headers, from the first, came with the raw record.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    cuttable: bool = False
    foreign_headers: int = 0


def encode_output(output: Output, topics: Topics) -> list[Outgoing]:
    """The records of an output, encoded, in its order."""
    return [
        Outgoing(
            topics.name(one.role),
            one.key,
            encode(one.record) if isinstance(one.record, Record) else one.record,
            one.headers,
            cuttable=one.role is TopicRole.DLQ,
            foreign_headers=one.foreign_headers,
        )
        for one in output.records
    ]


def truncate(record: Outgoing) -> Outgoing:
    """The record with its value cut to the next smaller size; headers say how large it was and what it hashed to.

    Raises:
        OutputTooLarge: it may not be cut, or there is nothing left to cut.
    """
    value, key = record.value or b"", record.key or b""
    if not record.cuttable or not (value or record.foreign_headers or len(key) > CUT_KEY_BYTES):
        raise OutputTooLarge(
            f"topic {record.topic!r} must take a record of {len(value) + len(key)} bytes, got a refusal: raise its "
            "max.message.bytes (or the broker's message.max.bytes) and start the agent again: it goes on where it was"
        )
    size = next((size for size in CUT_BYTES if size < len(value)), 0)
    ours = record.headers[record.foreign_headers :]
    cut: tuple[tuple[str, bytes], ...] = ()
    if not any(name == "fusionlog.dlq.cut" for name, _ in ours):
        cut = (
            ("fusionlog.dlq.cut", b"true"),
            ("fusionlog.dlq.original.bytes", str(len(value)).encode()),
            ("fusionlog.dlq.original.sha256", hashlib.sha256(value).hexdigest().encode()),
        )
    if size:
        return replace(record, value=value[:size], headers=(*record.headers, *cut))
    # Then the record's own headers or its key may be what is too large.
    return replace(record, value=b"", key=record.key and key[:CUT_KEY_BYTES], headers=(*ours, *cut), foreign_headers=0)
