from pathlib import Path

import pytest

from bench import datasets
from bench.errors import BenchError
from bench.truth import read_truth

pytestmark = pytest.mark.shared


def test_bgl_lines_carry_no_trace_of_their_label(shared_data: Path) -> None:
    """What is produced for BGL starts with the epoch, in file order, halves apart."""
    target = datasets.target(shared_data, "bgl")

    assert (len(target.history), len(target.live)) == (50_000, 50_000)
    assert [line.row for line in (*target.history, *target.live)] == list(range(100_000))
    assert all(line.value[:10].isdigit() for line in (*target.history, *target.live))
    first = target.history[0]
    assert first.value.startswith(b"1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03")
    assert (first.key, first.time_ms) == (b"R02-M1-N0-C:J12-U11", 1_117_838_570_000)


def test_hdfs_parts_share_no_block(shared_data: Path) -> None:
    """The first 55 blocks train and the last 55 stream, in whole, 2,041 lines; no line is left out."""
    target = datasets.target(shared_data, "hdfs")

    assert (len(target.history), len(target.live)) == (2_478, 2_041)
    assert not {line.key for line in target.history} & {line.key for line in target.live}
    assert len({line.key for line in target.live}) == 55
    assert all(not line.value.endswith(b"\r") for line in target.live)


def test_the_hdfs_source_has_a_label_for_each_block(shared_data: Path, tmp_path: Path) -> None:
    """`BlockId,Label` names all 1,782 blocks, 43 of them anomalous."""
    source = datasets.source(shared_data, "hdfs", tmp_path)

    assert source.labels is not None
    rows = source.labels.read_text().splitlines()
    assert (rows[0], len(rows) - 1) == ("BlockId,Label", 1782)
    assert sum(row.endswith(",Anomaly") for row in rows) == 43


def test_a_source_can_be_cut_short(shared_data: Path, tmp_path: Path) -> None:
    """A smaller source keeps its first lines, as they are, and BGL needs no label file."""
    source = datasets.source(shared_data, "bgl", tmp_path, limit_lines=3)

    assert source.labels is None
    assert source.path.read_bytes().splitlines() == datasets.read_lines(shared_data / "bgl" / "bgl_100k.log.xz")[:3]


def test_truth_is_known_for_both_targets(shared_data: Path) -> None:
    """2,613 lines of BGL are alerts, and a window is anomalous by its lines or by its block."""
    bgl, hdfs = read_truth(shared_data, "bgl"), read_truth(shared_data, "hdfs")

    assert len(bgl.rows) == 2_613
    assert bgl.anomalous("R1", [min(bgl.rows)])
    assert not bgl.anomalous("R1", [0])
    assert hdfs.anomalous("blk_-3544583377289625738", [])
    assert not hdfs.anomalous("blk_0", [1])


def test_a_folder_without_the_logs_is_named(tmp_path: Path) -> None:
    """A wrong --data is an error that says which file is missing."""
    with pytest.raises(BenchError, match=r"--data must hold bgl_100k\.log\.xz"):
        datasets.target(tmp_path, "bgl")
