"""Progress of a training run as records; how they are shown is up to the receiver (`fusionlog.render.progress`)."""

from collections.abc import Callable, Iterator

import msgspec


class Stage(msgspec.Struct, frozen=True, tag_field="kind", tag="stage"):
    """A stage of the run begins; the stage before it has ended.

    Attributes:
        name: of the stage.
        total: number of its steps, None where it is unknown. It can be an estimate.
    """

    name: str
    total: int | None = None


class Count(msgspec.Struct, frozen=True, tag_field="kind", tag="count"):
    """Steps of the current stage that were done since the last record."""

    steps: int


ProgressRecord = Stage | Count


class Progress:
    """Sends progress records to a receiver, in the order of the run; by default they are dropped."""

    def __init__(self, receive: Callable[[ProgressRecord], None] = lambda _: None) -> None:
        self._receive = receive

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage begins; `total` is its number of steps where that is known."""
        self._receive(Stage(name, total))

    def advance(self, steps: int = 1) -> None:
        """Steps of the stage that were done since the last call."""
        self._receive(Count(steps))


def encode_record(record: ProgressRecord) -> bytes:
    """A record as one line of JSON: `{"kind":"stage","name":"audit","total":16}` or `{"kind":"count","steps":5}`."""
    return msgspec.json.encode(record) + b"\n"


def decode_records(content: bytes) -> Iterator[ProgressRecord]:
    """The records of JSON lines; a last line without a line end is still being written and is left out.

    Raises:
        ValueError: a line is not a record.
    """
    decoder = msgspec.json.Decoder(ProgressRecord)
    for line in content[: content.rfind(b"\n") + 1].splitlines():
        yield decoder.decode(line)
