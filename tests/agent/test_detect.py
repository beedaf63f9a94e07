"""Detection: from records to alerts, windows, late lines, dead letters and templates, without Kafka."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.models.serving import ModelServing
from agent.stages.detect import NULL_VALUE, DetectionStage, SystemDetection
from agent.stages.stage import Output, PlainRecord, TopicRole, restore_snapshot, write_snapshot
from agent.testing import records_of
from detector.errors import SnapshotError
from detector.input.line_reader import LineReader
from detector.model.runs import run_lengths
from detector.model.scoring import Scorer
from detector.partition_reader import PartitionReader, SystemReader
from detector.system import WindowSpec
from detector.testing import ANOMALOUS_LINES, NORMAL_LINES, SYSTEM, tiny_model
from schemas.codec import Record, encode
from schemas.dead_letter import DeadLetter

START_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def serving() -> ModelServing:
    """A model in service."""
    return ModelServing(tiny_model())


def records(orders: int = 12) -> list[PlainRecord]:
    """Interleaved orders, every fifth anomalous, one line every eight seconds, two unreadable records, a new event."""
    values = [
        line.replace("17", str(order)).encode()
        for order in range(orders)
        for line in (NORMAL_LINES if order % 5 else (*NORMAL_LINES[:2], *ANOMALOUS_LINES))
    ]
    mixed = [values[at] for stride in range(4) for at in range(stride, len(values), 4)] + values
    mixed[7:7] = [b"\xff\xff", b"", b"order=3 dragon seen near reactor"]
    return [PlainRecord(offset, value, START_MS + offset * 8_000) for offset, value in enumerate(mixed)]


def joined(outputs: Sequence[Output]) -> dict[TopicRole, list[bytes]]:
    """All records of outputs by topic, as bytes with key and headers."""
    found: dict[TopicRole, list[bytes]] = {role: [] for role in TopicRole}
    for output in outputs:
        for one in output.records:
            value = encode(one.record) if isinstance(one.record, Record) else one.record
            found[one.role].append(repr((one.key, value, one.headers)).encode())
    return found


def fresh(serving: ModelServing) -> DetectionStage:
    """A partition without open windows."""
    return SystemDetection(SYSTEM, serving).stage("raw", 3)


def restarted(stage: DetectionStage, shared: SystemDetection | None = None) -> DetectionStage:
    """The stage that a restart makes of a snapshot."""
    new = (shared or stage.shared).stage(stage.topic, stage.partition, stage.position)
    restore_snapshot(new, write_snapshot(stage))
    return new


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 99), max_size=6), restored=st.booleans())
def test_output_does_not_depend_on_batches_or_restarts(cuts: list[int], restored: bool) -> None:
    """However records come in batches, and wherever state is saved and restored, the same bytes come out."""
    serving = ModelServing(tiny_model())
    whole = fresh(serving)
    expected = joined([whole.process(records()), whole.close_idle()])
    partition = fresh(serving)
    outputs = []
    places = [0, *sorted(cuts), len(records())]
    for start, end in pairwise(places):
        outputs.append(partition.process(records()[start:end]))
        if restored:
            partition = restarted(partition)
    assert joined([*outputs, partition.close_idle()]) == expected
    assert {role for role, found in expected.items() if found} == set(TopicRole) - {TopicRole.LATE}


def test_windows_and_scores_are_those_of_the_trainer(serving: ModelServing) -> None:
    """Read and scored one by one with the detector alone, as the trainer does, windows and scores are equal."""
    partition = fresh(serving)
    found = records_of([partition.process(records()), partition.close_idle()], TopicRole.WINDOWS)
    model = tiny_model()
    reader = PartitionReader(SystemReader(SYSTEM, model.matcher), "raw", 3)
    batch = reader.read(records())
    windows = [*batch.closed, *reader.flush()]
    texts = {line.event.id: line.event.text for line in batch.lines}
    scorer = Scorer(model, batch_size=1)
    scores = [float(scorer.score([run_lengths(window.event_ids)], texts)[0]) for window in windows]
    assert [(one.id, one.offsets) for one in found] == [(window.id, window.offsets) for window in windows]
    assert [one.score for one in found] == pytest.approx(scores, abs=1e-5)


def test_unreadable_records_are_dead_letters_with_their_bytes(serving: ModelServing) -> None:
    """A dead letter keeps the record's key, value and headers, and names its place and the reason; reading goes on."""
    partition = fresh(serving)
    output = partition.process([PlainRecord(5, b"\xff", 7, b"k", (("h", b"v"),)), PlainRecord(6, None, 8)])
    first, second = output.records
    assert (first.role, first.key, first.record) == (TopicRole.DLQ, b"k", b"\xff")
    assert (first.headers[: first.foreign_headers], second.foreign_headers) == ((("h", b"v"),), 0)
    letters = [DeadLetter.from_headers(list(one.headers)) for one in (first, second)]
    assert [(one.topic, one.partition, one.offset) for one in letters] == [("raw", 3, 5), ("raw", 3, 6)]
    assert [one.reason for one in letters] == ["undecodable", "tombstone"]
    assert (second.key, second.record, dict(second.headers)[NULL_VALUE]) == (None, b"", b"true")
    assert NULL_VALUE not in dict(first.headers)
    assert partition.position == 7
    assert output.counts == {
        ("records_consumed",): 2,
        ("records_failed", "decode", "undecodable"): 1,
        ("dlq_records", "undecodable"): 1,
        ("records_failed", "decode", "tombstone"): 1,
        ("dlq_records", "tombstone"): 1,
    }


def test_a_record_that_the_reader_breaks_on_is_rejected(serving: ModelServing, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that was not foreseen costs the record, not the agent, and the dead letter names it, redacted."""

    def lines(_reader: LineReader, value: bytes | None, _record_time_ms: int) -> None:
        raise OverflowError(f"cannot count {value!r}")

    monkeypatch.setattr(LineReader, "lines", lines)
    partition = fresh(serving)
    (rejected,) = partition.process([PlainRecord(0, b"line of bob@example.com", 7)]).records
    letter = DeadLetter.from_headers(list(rejected.headers))
    assert (letter.reason, rejected.record) == ("undecodable", b"line of bob@example.com")
    assert "OverflowError: cannot count b'line of <redacted-email>'" in letter.message
    assert partition.position == 1


def test_records_below_the_position_are_repeats(serving: ModelServing) -> None:
    """Records that were processed before are skipped, so a repeated batch changes nothing."""
    partition = fresh(serving)
    partition.process(records()[:20])
    assert partition.process(records()[:20]).records == []
    assert partition.position == 20


def test_open_windows_are_scored_by_the_model_that_serves_when_they_close(serving: ModelServing) -> None:
    """A window that began under the baseline is scored by the model swapped in before it closed."""
    shared = SystemDetection(SYSTEM)
    partition = shared.stage("raw", 0)
    anomalous = [*NORMAL_LINES[:2], *ANOMALOUS_LINES]
    partition.process([PlainRecord(at, line.encode(), START_MS) for at, line in enumerate(anomalous)])
    assert shared.model_version == 0
    shared.swap(serving)
    assert shared.model_version == 1
    for one in (restarted(partition), partition):
        (window,) = records_of(one.close_idle(), TopicRole.WINDOWS)
        assert (window.model.version, window.anomalous) == (1, True)


def test_a_line_no_template_fits_is_learned_once(serving: ModelServing) -> None:
    """A novel line leaves one template record, however often it comes, and flags the alert's template as new."""
    partition = fresh(serving)
    novel = [PlainRecord(at, b"order=1 dragon seen near reactor", START_MS) for at in range(3)]
    output = partition.process(novel)
    (template,) = records_of(output, TopicRole.TEMPLATES)
    assert (template.system, template.offset, template.partition) == ("orders", 0, 3)
    (window,) = records_of(partition.close_idle(), TopicRole.WINDOWS)
    assert window.offsets == (0, 1, 2)


def test_only_anomalous_windows_when_told(serving: ModelServing) -> None:
    """With `anomalous_only`, a normal window leaves no record, an anomalous one a window record and an alert."""
    partition = SystemDetection(SYSTEM, serving, anomalous_only=True).stage("raw", 0)
    partition.process(records())
    output = partition.close_idle()
    windows = records_of(output, TopicRole.WINDOWS)
    assert [window.id for window in windows] == [alert.id for alert in records_of(output, TopicRole.ALERTS)]
    assert output.counts["windows_closed", "idle"] > len(windows) > 0


def test_a_snapshot_of_other_settings_is_refused(serving: ModelServing) -> None:
    """State of other masks, keys or windows, of another position or stage, or cut short is not restored."""
    partition = fresh(serving)
    partition.process(records()[:10])
    snapshot = write_snapshot(partition)
    other = SYSTEM.model_copy(update={"window": WindowSpec(kind="session", idle_seconds=5)})
    with pytest.raises(SnapshotError, match="restart_windows"):
        restore_snapshot(SystemDetection(other, serving).stage("raw", 3, 10), snapshot)
    with pytest.raises(SnapshotError, match="position 9, got 'detect' at 10"):
        restore_snapshot(partition.shared.stage("raw", 3, 9), snapshot)
    with pytest.raises(SnapshotError):
        restore_snapshot(partition.shared.stage("raw", 3, 10), snapshot[:-5])
    renamed = partition.shared.stage("raw", 3, 10)
    renamed.name = "count"
    with pytest.raises(SnapshotError, match="stage 'count'"):
        restore_snapshot(renamed, snapshot)
    newer = partition.shared.stage("raw", 3, 10)
    newer.version = 3
    with pytest.raises(SnapshotError, match="version 2"):
        restore_snapshot(newer, snapshot)


def test_late_lines_come_out_with_their_watermark(serving: ModelServing) -> None:
    """A line behind the watermark and the idle time of its key is late, and in no window."""
    partition = fresh(serving)
    partition.process([PlainRecord(0, b"tick", START_MS + 10_000_000)])
    output = partition.process([PlainRecord(1, b"order=9 received from 10.0.0.7", START_MS)])
    (late,) = records_of(output, TopicRole.LATE)
    assert (late.key, late.offset, late.watermark_ms) == ("9", 1, START_MS + 9_990_000)
    assert partition.close_idle().records == []
