"""The truth about a target's windows, which only the benchmark reads, after the run."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.datasets import anomalous_blocks, read_lines


@dataclass(frozen=True)
class Truth:
    """Anomalous rows (BGL: a line with an alert label) or keys (HDFS: a block labelled as an anomaly)."""

    rows: frozenset[int] = frozenset()
    keys: frozenset[str] = frozenset()

    def anomalous(self, key: str, rows: Iterable[int]) -> bool:
        """Whether a window with this key and these rows is an anomaly."""
        return key in self.keys or any(row in self.rows for row in rows)


def read_truth(data: Path, system: str) -> Truth:
    """The truth of a target."""
    if system == "hdfs":
        return Truth(keys=anomalous_blocks(data))
    lines = read_lines(data / "bgl" / "bgl_100k.log.xz")
    return Truth(rows=frozenset(row for row, line in enumerate(lines) if not line.startswith(b"- ")))
