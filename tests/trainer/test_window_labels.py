"""Labels beside a log."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from detector.windowing.state import Window
from trainer.data.window_labels import IncidentLabels, KeyLabels, read_window_labels
from trainer.errors import SourceError


def window(key: str = "a", times_ms: Sequence[int] = (0,)) -> Window:
    """A window of that key with lines at those times."""
    return Window(
        id="0" * 32,
        system="s",
        kind="session",
        key=key,
        topic="t",
        partition=0,
        offsets=tuple(range(len(times_ms))),
        event_ids=("e",) * len(times_ms),
        times_ms=tuple(times_ms),
        start_ms=min(times_ms),
        end_ms=max(times_ms),
        closed_by="gap",
        truncated=False,
        samples=(),
    )


def read(tmp_path: Path, text: str) -> KeyLabels | IncidentLabels:
    """Labels from a CSV of that text."""
    path = tmp_path / "labels.csv"
    path.write_text(text, "utf-8")
    return read_window_labels(path)


def test_loghub_labels_name_keys(tmp_path: Path) -> None:
    """`BlockId,Label` with the words Normal and Anomaly; keys that are not listed are normal."""
    labels = read(tmp_path, "BlockId,Label\nblk_1,Normal\nblk_-2,Anomaly\n\n")
    assert labels == KeyLabels(frozenset({"blk_-2"}))
    assert labels.label(window("blk_-2")) is True
    assert labels.label(window("blk_1")) is False
    assert labels.label(window("blk_3")) is False


def test_incidents_are_times_of_a_key_or_of_all(tmp_path: Path) -> None:
    """A window with a line inside an incident of its key, or of all keys, is anomalous."""
    text = "start,end,key\n1970-01-01T00:00:10Z,1970-01-01T00:00:20Z,db1\n100,200,\n150,300.5,\n"
    labels = read(tmp_path, text)
    assert labels == IncidentLabels(((100_000, 300_500),), {"db1": ((10_000, 20_000),)})
    assert labels.label(window("db1", [9_999, 15_000])) is True
    assert labels.label(window("db2", [15_000])) is False
    assert labels.label(window("db2", [300_500])) is True
    assert labels.label(window("db2", [300_501])) is False


def test_a_window_around_an_incident_without_a_line_inside_is_not_in_it(tmp_path: Path) -> None:
    """A long session is labelled by its lines, not by its first and last time."""
    labels = read(tmp_path, "start,end\n100,200\n")
    assert labels.label(window(times_ms=[50_000, 250_000])) is False
    assert labels.label(window(times_ms=[50_000, 150_000, 250_000])) is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "must have the columns BlockId,Label"),
        ("", "must have the columns BlockId,Label"),
        ("key,label\nk,maybe\n", "line 2: a label must be 0 or 1"),
        ("key,label\nk,1\nk\n", "line 3: a field is missing"),
        ("start,end\n200,100\n", "line 2: start must not be after end"),
        ("start,end\nnoon,100\n", "line 2: must be an ISO time"),
    ],
)
def test_other_files_are_refused_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    """Both conventions are named, and the line that is wrong."""
    with pytest.raises(SourceError, match=message):
        read(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A label file in another encoding is not guessed at."""
    (tmp_path / "labels.csv").write_bytes(b"key,label\n\xff\xfe,1\n")
    with pytest.raises(SourceError, match="must be CSV in UTF-8"):
        read_window_labels(tmp_path / "labels.csv")
