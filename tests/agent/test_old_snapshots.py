"""Snapshots that earlier releases wrote are restored."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.models.serving import ModelServing
from agent.stages.detect import DetectionStage, SystemDetection
from agent.stages.stage import PlainRecord, TopicRole, restore_snapshot
from agent.testing import records_of
from detector.errors import SnapshotError
from detector.testing import SYSTEM, tiny_model

SNAPSHOTS = Path(__file__).parent / "snapshots"


def stage(position: int) -> DetectionStage:
    """A stage without state."""
    return SystemDetection(SYSTEM, ModelServing(tiny_model())).stage("raw", 3, position)


def test_a_snapshot_of_release_0_1_0_goes_on_where_it_was() -> None:
    """Its open windows close with the ids and events that release 0.1.0 gave them without a restart."""
    expected: dict[str, Any] = json.loads((SNAPSHOTS / "detect_v1.json").read_text())
    restored = stage(expected["position"])
    restore_snapshot(restored, (SNAPSHOTS / "detect_v1.bin").read_bytes())
    assert restored.open_windows > 0
    rest = [PlainRecord(at, text.encode(), time_ms) for at, text, time_ms in expected["records"]]
    outputs = [restored.process(rest), restored.close_idle()]
    windows = records_of(outputs, TopicRole.WINDOWS)
    assert [[one.id, list(one.offsets), one.event_hash] for one in windows] == expected["windows"]
    with pytest.raises(SnapshotError, match="position 12"):
        restore_snapshot(stage(11), (SNAPSHOTS / "detect_v1.bin").read_bytes())
