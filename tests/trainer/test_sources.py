"""Opening a source and a target."""

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from broker.errors import SettingsError
from fusionlog.settings.load import load_settings
from trainer.data.lines import SourceLine, TargetLine
from trainer.data.sources import open_source, open_target
from trainer.data.window_labels import KeyLabels
from trainer.errors import SourceError
from trainer.settings import TrainerSettings

REST = "1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.363779 R02-M1 RAS KERNEL INFO parity error"


def settings(target: dict[str, Any], source: dict[str, Any] | None = None) -> TrainerSettings:
    """Settings of a run over these inputs."""
    values = {"target": target} | ({} if source is None else {"source": source})
    return load_settings(TrainerSettings, None, values, {})


def test_lines_of_a_file_are_numbered_and_can_be_read_again(tmp_path: Path) -> None:
    """The topic is the file's name, the partition 0, the offset the number of the line."""
    path = tmp_path / "app.log.xz"
    path.write_bytes(lzma.compress(b"one\ntwo\n"))
    target = open_target(settings({"path": str(path)}))
    expected = [TargetLine(b"one", -1, "app.log.xz", 0, 0), TargetLine(b"two", -1, "app.log.xz", 0, 1)]
    assert list(target.lines()) == expected
    assert list(target.lines()) == expected


def test_a_target_line_has_no_place_for_a_label(tmp_path: Path) -> None:
    """Neither its type nor its bytes can carry one."""
    path = tmp_path / "bgl.log"
    path.write_text(f"- {REST}\nKERNDTLB {REST}\n" + json.dumps({"message": REST, "label": 1}) + "\n", "utf-8")
    lines = list(open_target(settings({"path": str(path), "spec": {"layout": "loghub-bgl"}})).lines())
    assert not hasattr(lines[0], "label")
    assert [line.value for line in lines] == [
        REST.encode(),
        REST.encode(),
        json.dumps({"message": REST}, separators=(",", ":")).encode(),
    ]


def test_a_source_line_carries_its_label(tmp_path: Path) -> None:
    """By BGL's first field; the bytes stay whole, the layout keeps the label out of the text."""
    path = tmp_path / "bgl.log"
    path.write_text(f"- {REST}\nKERNDTLB {REST}\n", "utf-8")
    source = open_source(settings({"path": "x"}, {"path": str(path), "spec": {"layout": "loghub-bgl"}}))
    assert [line.label for line in source.lines()] == [False, True]


def test_labels_beside_the_log_stand_in_for_those_inside(tmp_path: Path) -> None:
    """With a label file the lines are not asked."""
    (tmp_path / "a.log").write_text(json.dumps({"message": "m", "label": 1}), "utf-8")
    (tmp_path / "labels.csv").write_text("BlockId,Label\nk,Anomaly\n", "utf-8")
    source = open_source(
        settings({"path": "x"}, {"path": str(tmp_path / "a.log"), "labels": str(tmp_path / "labels.csv")})
    )
    assert [line.label for line in source.lines()] == [None]
    assert isinstance(source.labels, KeyLabels)
    assert source.labels.anomalous == {"k"}


def test_a_label_that_is_none_is_an_error_with_its_line(tmp_path: Path) -> None:
    """A field of another meaning is not silently read as a label."""
    path = tmp_path / "a.log"
    path.write_text('{"message": "m", "label": 0}\n{"message": "m", "label": "WARN"}\n', "utf-8")
    with pytest.raises(SourceError, match=r"a\.log, line 1: a label must be"):
        list(open_source(settings({"path": "x"}, {"path": str(path)})).lines())


def test_the_starter_is_labelled_and_the_same_for_a_seed() -> None:
    """It brings its own system and both classes."""
    source = open_source(settings({"path": "x"}))
    lines = list(source.lines())
    assert isinstance(lines[0], SourceLine)
    assert {line.label for line in lines} == {True, False}
    assert list(source.lines()) == lines


def test_a_file_that_is_not_there_is_found_at_once(tmp_path: Path) -> None:
    """Before anything is read or trained."""
    with pytest.raises(SettingsError, match=r"target\.path \(--target\) must be a file that is there"):
        open_target(settings({"path": str(tmp_path / "absent.log")}))
