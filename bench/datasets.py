"""The real logs in `../shared/data` as a labelled source and as an unlabelled target in two parts, history and live.

A target's lines hold no truth: BGL's label field is cut off here, before anything is produced. The truth is read
separately (`bench/truth.py`) and joined by row number after the agent's run.
"""

import csv
import io
import lzma
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from testkit.lines import RecordedLine

SYSTEMS = ("hdfs", "bgl")
BGL_PART_LINES = 50_000
HDFS_PART_BLOCKS = 55
IDLE_SECONDS = 86_400
SIZE_SECONDS = 60

SPECS: Mapping[str, dict[str, Any]] = {  # settings of a system, as in YAML
    "hdfs": {
        "name": "hdfs",
        "format": "raw",
        "layout": "loghub-hdfs",
        "window": {"kind": "session", "idle_seconds": IDLE_SECONDS},
    },
    "bgl": {
        "name": "bgl",
        "format": "raw",
        "layout": "loghub-bgl",
        "window": {"kind": "tumbling", "size_seconds": SIZE_SECONDS},
    },
}
_BLOCK = re.compile(rb"blk_-?\d+")


@dataclass(frozen=True)
class Target:
    """An unlabelled system: `history` is for training, `live` is streamed; each has a topic of `partitions`."""

    name: str
    history: tuple[RecordedLine, ...]
    live: tuple[RecordedLine, ...]
    partitions: int = 2

    @property
    def history_topic(self) -> str:
        """Topic of the part that trains."""
        return f"raw.{self.name}.history"

    @property
    def live_topic(self) -> str:
        """Topic of the part that is streamed."""
        return f"raw.{self.name}.live"

    @property
    def tail_seconds(self) -> float:
        """Time after the last line, without lateness, from which a record closes every window."""
        return IDLE_SECONDS if self.name == "hdfs" else SIZE_SECONDS


@dataclass(frozen=True)
class Source:
    """A labelled system on disk; `labels` is a file `BlockId,Label`, or None where the lines carry their label."""

    name: str
    path: Path
    labels: Path | None


def read_lines(path: Path) -> list[bytes]:
    """All lines of a file, compressed or not, without their line ends.

    Raises:
        BenchError: the file is absent or not xz.
    """
    return [line.rstrip(b"\r\n") for line in io.BytesIO(_given(path))]


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a csv file, compressed or not."""
    yield from csv.DictReader(io.StringIO(_given(path).decode()))


def content_of(path: Path, must: str) -> bytes:
    """Content of a file, compressed (`.xz`) or not.

    Raises:
        BenchError: the file is absent or not xz; the message begins with what `must` be.
    """
    try:
        content = path.read_bytes()
        return lzma.decompress(content) if path.suffix == ".xz" else content
    except (OSError, lzma.LZMAError) as error:
        raise BenchError(f"{must}, got {path}: {error}") from error


def _given(path: Path) -> bytes:
    return content_of(path, f"--data must hold {path.name} under {path.parent.name}/")


def blocks_of(line: bytes) -> tuple[bytes, ...]:
    """The distinct HDFS blocks that a line names, in order."""
    return tuple(dict.fromkeys(_BLOCK.findall(line)))


def hdfs_time_ms(line: bytes) -> int:
    """Time of an HDFS line (`081109 203518 …`, read as UTC)."""
    return int(datetime.strptime(line[:13].decode(), "%y%m%d %H%M%S").replace(tzinfo=UTC).timestamp() * 1000)


def target(data: Path, name: str, part_lines: int = BGL_PART_LINES, part_blocks: int = HDFS_PART_BLOCKS) -> Target:
    """The two parts of a target.

    BGL: the first and the last `part_lines` lines. HDFS: blocks in the order of their first line; the lines of the
    first and of the last `part_blocks` blocks.
    """
    if name == "bgl":
        lines = _bgl_lines(data)
        return Target(name, tuple(lines[:part_lines]), tuple(lines[-part_lines:]))
    lines = _hdfs_lines(data)
    order = list(dict.fromkeys(line.key for line in lines))
    first, last = set(order[:part_blocks]), set(order[-part_blocks:])
    history = tuple(line for line in lines if line.key in first)
    return Target(name, history, tuple(line for line in lines if line.key in last))


def source(data: Path, name: str, work: Path, limit_lines: int | None = None) -> Source:
    """The labelled source for `fusionlog train`; files that it needs are written into `work`."""
    path = data / ("hdfs/HDFS_20000.log.xz" if name == "hdfs" else "bgl/bgl_100k.log.xz")
    if limit_lines is not None:
        cut = work / f"source_{name}.log"
        cut.write_bytes(b"".join(line + b"\n" for line in read_lines(path)[:limit_lines]))
        path = cut
    elif not path.is_file():
        raise BenchError(f"--data must hold {path.name} under {path.parent.name}/, got {data}")
    if name == "bgl":
        return Source(name, path, None)
    labels = work / "anomaly_label.csv"
    _write_labels(data, read_lines(path), labels)
    return Source(name, path, labels)


def anomalous_blocks(data: Path) -> frozenset[str]:
    """Ids of the anomalous HDFS blocks; a block that is absent from the file is normal."""
    rows = read_rows(data / "hdfs" / "hdfs_block_sequences.csv.xz")
    return frozenset(row["block_id"] for row in rows if row["label"] == "1")


def _write_labels(data: Path, lines: list[bytes], path: Path) -> None:
    """Write Loghub's `anomaly_label.csv` for the blocks that the lines name."""
    bad = anomalous_blocks(data)
    blocks = dict.fromkeys(block.decode() for line in lines for block in blocks_of(line))
    rows = [f"{block},{'Anomaly' if block in bad else 'Normal'}\n" for block in blocks]
    path.write_text("BlockId,Label\n" + "".join(rows))


def _bgl_lines(data: Path) -> list[RecordedLine]:
    lines = []
    for row, line in enumerate(read_lines(data / "bgl" / "bgl_100k.log.xz")):
        value = line.split(b" ", 1)[1]  # without the label field
        seconds, _date, node = value.split(b" ", 3)[:3]
        lines.append(RecordedLine(row, value, node, int(seconds) * 1000))
    return lines


def _hdfs_lines(data: Path) -> list[RecordedLine]:
    lines = []
    for row, line in enumerate(read_lines(data / "hdfs" / "HDFS_5k.log.xz")):
        blocks = blocks_of(line)
        if len(blocks) != 1:  # never in this file; lines with several blocks would all need the same partition
            raise BenchError(f"each line of HDFS_5k must name one block, got {len(blocks)} in line {row + 1}")
        lines.append(RecordedLine(row, line, blocks[0], hdfs_time_ms(line)))
    return lines
