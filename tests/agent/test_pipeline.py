"""The pipeline: a pure object from records to alerts, windows, late lines, dead letters and templates."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.models.serving import BaselineServing, ModelServing
from agent.stages.detect import InputRecord, Output, PartitionPipeline, SystemPipeline
from detector.errors import SnapshotError
from detector.input.line_reader import LineReader
from detector.model.scoring import Scorer, run_lengths
from detector.parsing.masking import Masker
from detector.parsing.parser import LineParser
from detector.system import WindowSpec
from detector.testing import ANOMALOUS_LINES, NORMAL_LINES, SYSTEM, tiny_model
from detector.windowing.cutter import WindowCutter
from schemas.codec import encode

START_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def serving() -> ModelServing:
    """A model in service."""
    return ModelServing(tiny_model())


def records(orders: int = 12) -> list[InputRecord]:
    """Interleaved orders, every fifth sick, one line every eight seconds, and what cannot be read between them."""
    values = [
        line.replace("17", str(order)).encode()
        for order in range(orders)
        for line in (NORMAL_LINES if order % 5 else (*NORMAL_LINES[:2], *ANOMALOUS_LINES))
    ]
    mixed = [values[at] for stride in range(4) for at in range(stride, len(values), 4)] + values
    mixed[7:7] = [b"\xff\xff", b""]
    return [InputRecord(offset, value, START_MS + offset * 8_000) for offset, value in enumerate(mixed)]


def joined(outputs: list[Output]) -> tuple[list[bytes], ...]:
    """All that came out, as bytes."""
    return (
        [encode(record) for output in outputs for record in output.alerts],
        [encode(record) for output in outputs for record in output.windows],
        [encode(record) for output in outputs for record in output.late],
        [encode(record) for output in outputs for record in output.templates],
        [repr(rejected).encode() for output in outputs for rejected in output.rejected],
    )


def fresh(serving: ModelServing) -> PartitionPipeline:
    """A partition with nothing in it."""
    return SystemPipeline(SYSTEM, serving).partition("raw", 3)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 98), max_size=6), restored=st.booleans())
def test_output_does_not_depend_on_batches_or_restarts(cuts: list[int], restored: bool) -> None:
    """However records come in batches, and wherever state is saved and restored, the same bytes come out."""
    serving = ModelServing(tiny_model())
    whole = fresh(serving)
    expected = joined([whole.process(records()), whole.flush()])
    partition = fresh(serving)
    system = partition.system
    outputs = []
    places = [0, *sorted(cuts), len(records())]
    for start, end in pairwise(places):
        outputs.append(partition.process(records()[start:end]))
        if restored:
            partition = system.restore("raw", 3, partition.position, partition.snapshot())
    assert joined([*outputs, partition.flush()]) == expected
    assert expected[0]
    assert expected[1]


def test_windows_and_scores_are_those_of_the_trainer(serving: ModelServing) -> None:
    """Cut and scored one by one with the detector alone, as the trainer does, windows and scores are equal."""
    partition = fresh(serving)
    found = [*partition.process(records()).windows, *partition.flush().windows]
    model = tiny_model()
    reader, parser = LineReader(SYSTEM), LineParser(Masker(SYSTEM.masks, SYSTEM.max_tokens), model.matcher)
    cutter, texts = WindowCutter(SYSTEM.name, SYSTEM.window, "raw", 3), {}
    for record in records():
        if record.value not in (b"\xff\xff", b""):
            line = reader.read(record.value, record.timestamp or 0)
            event = parser.event(line.text)
            texts[event.id] = event.text
            cutter.add(record.offset, line.event_time_ms, line.keys, event.id, line.text)
    cutter.flush()
    windows = cutter.take_closed()
    scorer = Scorer(model, batch_size=1)
    scores = [float(scorer.score([run_lengths(window.event_ids)], texts)[0]) for window in windows]
    assert [(one.id, one.offsets) for one in found] == [(window.id, window.offsets) for window in windows]
    assert [one.score for one in found] == pytest.approx(scores, abs=1e-5)


def test_unreadable_records_are_rejected_raw_and_the_position_goes_on(serving: ModelServing) -> None:
    """What cannot be read comes out with its bytes, key, place and reason."""
    partition = fresh(serving)
    output = partition.process([InputRecord(5, b"\xff", 7, b"k", (("h", b"v"),)), InputRecord(6, None, 8)])
    first, second = output.rejected
    assert (first.key, first.value, first.headers) == (b"k", b"\xff", (("h", b"v"),))
    assert (first.letter.topic, first.letter.partition, first.letter.offset) == ("raw", 3, 5)
    assert (first.letter.reason, second.letter.reason) == ("undecodable", "tombstone")
    assert (partition.position, output.lines) == (7, 2)


def test_a_record_that_the_reader_breaks_on_is_rejected(serving: ModelServing, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw costs the record, not the agent, and the dead letter says what it was."""

    def read(_reader: LineReader, value: bytes | None, _record_time_ms: int) -> None:
        raise OverflowError(f"cannot count {value!r}")

    monkeypatch.setattr(LineReader, "read", read)
    partition = fresh(serving)
    (rejected,) = partition.process([InputRecord(0, b"line", 7)]).rejected
    assert (rejected.letter.reason, rejected.value) == ("undecodable", b"line")
    assert "OverflowError: cannot count b'line'" in rejected.letter.message
    assert partition.position == 1


def test_records_below_the_position_are_repeats(serving: ModelServing) -> None:
    """Records that were processed before are skipped, so a repeated batch changes nothing."""
    partition = fresh(serving)
    partition.process(records()[:20])
    assert partition.process(records()[:20]).lines == 0
    assert partition.position == 20


def test_open_windows_are_scored_by_the_model_that_serves_when_they_close(serving: ModelServing) -> None:
    """A window that began under the baseline is scored by the model swapped in before it closed."""
    system = SystemPipeline(SYSTEM, BaselineServing(SYSTEM.name))
    partition = system.partition("raw", 0)
    sick = [*NORMAL_LINES[:2], *ANOMALOUS_LINES]
    partition.process([InputRecord(at, line.encode(), START_MS) for at, line in enumerate(sick)])
    assert system.serving.reference.version == 0
    system.swap(serving)
    restored = system.restore("raw", 0, partition.position, partition.snapshot())
    for one in (restored, partition):
        (window,) = one.flush().windows
        assert (window.model.version, window.anomalous) == (1, True)


def test_a_line_no_template_fits_is_learned_once(serving: ModelServing) -> None:
    """A novel line leaves one template record, however often it comes, and flags the alert's template as new."""
    partition = fresh(serving)
    novel = [InputRecord(at, b"order=1 dragon seen near reactor", START_MS) for at in range(3)]
    output = partition.process(novel)
    (template,) = output.templates
    assert (template.system, template.offset, template.partition) == ("orders", 0, 3)
    (window,) = partition.flush().windows
    assert window.offsets == (0, 1, 2)


def test_only_anomalous_windows_when_told(serving: ModelServing) -> None:
    """With `anomalous_only`, a healthy window leaves no record, a sick one both."""
    partition = SystemPipeline(SYSTEM, serving, anomalous_only=True).partition("raw", 0)
    partition.process(records())
    output = partition.flush()
    assert [window.id for window in output.windows] == [alert.id for alert in output.alerts]
    assert sum(output.closed_by.values()) > len(output.windows)


def test_a_snapshot_of_other_settings_is_refused(serving: ModelServing) -> None:
    """State of other masks, keys or windows, of another position, or cut short is not taken on."""
    partition = fresh(serving)
    partition.process(records()[:10])
    snapshot = partition.snapshot()
    other = SYSTEM.model_copy(update={"window": WindowSpec(kind="session", idle_seconds=5)})
    with pytest.raises(SnapshotError, match="restart_windows"):
        SystemPipeline(other, serving).restore("raw", 3, 10, snapshot)
    with pytest.raises(SnapshotError, match="position 9"):
        partition.system.restore("raw", 3, 9, snapshot)
    with pytest.raises(SnapshotError):
        partition.system.restore("raw", 3, 10, snapshot[:-5])


def test_late_lines_come_out_with_their_watermark(serving: ModelServing) -> None:
    """A line behind the watermark and the idle time of its key is late, and in no window."""
    partition = fresh(serving)
    partition.process([InputRecord(0, b"tick", START_MS + 10_000_000)])
    output = partition.process([InputRecord(1, b"order=9 received from 10.0.0.7", START_MS)])
    (late,) = output.late
    assert (late.key, late.offset, late.watermark_ms) == ("9", 1, START_MS + 9_990_000)
    assert partition.flush().windows == []
