"""The checks that no line is lost: every line was kept by the broker, and the agent consumed all of them."""

from collections import Counter
from collections.abc import Sequence

from broker.embedded import PARTITION_BYTES
from fusionlog.demo.generator import GeneratedLine
from fusionlog.errors import DemoError
from testkit.kafka_io import Kafka
from testkit.lines import Place

# The embedded broker drops the oldest records of a full partition silently: stay well below its size.
_ROOM_BYTES = PARTITION_BYTES * 3 // 5
_RECORD_OVERHEAD_BYTES = 80


def check_room(lines: Sequence[GeneratedLine]) -> None:
    """Check that the embedded broker has room for the lines.

    Raises:
        DemoError: a partition is too small.
    """
    sizes: Counter[int] = Counter()
    for line in lines:
        sizes[line.partition] += len(line.text) + _RECORD_OVERHEAD_BYTES
    if max(sizes.values()) > _ROOM_BYTES:
        raise DemoError(f"a partition must take at most {_ROOM_BYTES} bytes, got {max(sizes.values())}")


def check_all_kept(kafka: Kafka, topic: str, lines: Sequence[GeneratedLine]) -> None:
    """Check that a topic holds every line that was sent to it.

    Raises:
        DemoError: it does not.
    """
    sent = dict(Counter(line.partition for line in lines))
    kept = {partition: end for partition, end in kafka.ends(topic).items() if end}
    if kept != sent:
        raise DemoError(f"topic {topic} must hold every line, got {kept} of {sent}")


def consumed_lines(kafka: Kafka, group: str, topic: str, lines: Sequence[GeneratedLine]) -> int:
    """Number of lines below the group's committed offsets.

    Raises:
        DemoError: it is not the number of lines that were sent, in some partition.
    """
    sent = dict(Counter(line.partition for line in lines))
    consumed = {partition: one.offset for partition, one in kafka.committed(group, topic).items()}
    if consumed != sent:
        raise DemoError(f"the agent must consume what was produced, got {consumed} of {sent}")
    return sum(consumed.values())


def places_of(lines: Sequence[GeneratedLine]) -> dict[Place, GeneratedLine]:
    """Place of each line in its topic: the topic is new, and one producer wrote each partition in order."""
    counts: Counter[int] = Counter()
    placed = {}
    for line in lines:
        placed[Place(line.partition, counts[line.partition])] = line
        counts[line.partition] += 1
    return placed
