import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path

import pytest

from detector.input.line_reader import LineReader
from detector.windowing.cutter import WindowCutter
from fusionlog.demo.generator import (
    PARTITIONS,
    DemoData,
    GeneratedLine,
    closing_lines,
    generate,
    shifts,
    source_service,
    target_service,
    write_source,
)
from fusionlog.demo.scorer import KEYWORD_RULES, ScoredWindow, score

SEEDS = (1, 2)


@pytest.fixture(scope="module", params=SEEDS)
def data(request: pytest.FixtureRequest) -> DemoData:
    """All data of a seed."""
    seed: int = request.param
    return generate(seed)


def sessions(lines: Iterable[GeneratedLine]) -> dict[str, list[str]]:
    """Texts of each session's lines."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.key:
            found.setdefault(line.key, []).append(line.text)
    return found


def test_the_same_seed_gives_the_same_bytes(request: pytest.FixtureRequest, data: DemoData) -> None:
    """Nothing but the seed decides what is generated."""
    assert generate(request.node.callspec.params["data"]) == data


def test_seeds_differ_in_words_and_kinds() -> None:
    """Different seeds have different vocabularies and different sets of failure kinds."""
    made = [target_service(seed) for seed in range(8)]
    assert len({frozenset(fault.kind for fault in service.faults) for service in made}) > 4
    assert len({repr(service.workflows) for service in made}) > 4


def test_every_sort_of_failure_occurs_often_enough(data: DemoData) -> None:
    """Words, order, counts and missing steps; at least twelve live sessions of each kind; 5 to 8% of all."""
    counts = Counter(kind for kind in data.truth.values() if kind)
    assert set(data.kinds.values()) == {"words", "order", "count", "missing"}
    assert set(counts) == set(data.kinds)
    assert min(counts.values()) >= 12
    assert 0.05 < sum(counts.values()) / len(data.truth) < 0.08


def test_some_kinds_are_shared_with_the_source_and_some_are_the_targets_own(data: DemoData) -> None:
    """At least two kinds have a counterpart in the source, at least two have none."""
    source = {fault.kind for fault in source_service(1).faults}
    assert len(source & set(data.kinds)) >= 2
    assert len([kind for kind, shows in data.kinds.items() if shows == "words" and kind not in source]) >= 2


def test_source_and_target_have_no_line_in_common_and_other_layouts(data: DemoData) -> None:
    """The two systems differ in words and in structure."""
    assert data.source_spec.line_pattern != data.target_spec.line_pattern
    target, source = LineReader(data.target_spec), LineReader(data.source_spec)
    line = data.source[0][0].encode()
    assert target.lines(line, 0)[0].text == line.decode()
    assert source.lines(data.live[0].text.encode(), 0)[0].text == data.live[0].text


def test_alarming_words_are_common_in_normal_sessions(data: DemoData) -> None:
    """A tenth to three tenths of the normal sessions hold alarming words."""
    normal = [texts for key, texts in sessions(data.live).items() if not data.truth[key]]
    alarming = sum(any(rule(text) for text in texts for rule in KEYWORD_RULES) for texts in normal)
    assert 0.10 <= alarming / len(normal) <= 0.30


def test_no_keyword_rule_gets_far(data: DemoData) -> None:
    """The best of the keyword rules stays below an F1 of 0.7."""
    windows = [ScoredWindow(key, False, tuple(texts), False) for key, texts in sessions(data.live).items()]
    assert 0.1 < score(windows, data.truth).keyword_f1 <= 0.7


def test_the_truth_is_not_in_the_lines(data: DemoData) -> None:
    """No line names a failure kind, and a raw line has no place for a label."""
    text = "\n".join(line.text for line in (*data.history, *data.live))
    assert not [kind for kind in data.kinds if kind in text]
    assert set(data.live[0].__slots__ if hasattr(data.live[0], "__slots__") else vars(data.live[0])) == {
        "text",
        "time_ms",
        "partition",
        "key",
    }


def test_each_session_is_one_window_on_one_partition(data: DemoData) -> None:
    """The reader finds key and time of each line, and the cutter makes one window of each session."""
    reader = LineReader(data.target_spec)
    cutters: dict[int, WindowCutter] = {}
    lines = (*data.live, *closing_lines(data.live, data.target_spec))
    for offset, line in enumerate(lines):
        [read] = reader.lines(line.text.encode(), 0)
        assert read.keys == ((line.key,) if line.key else ())
        assert read.event_time_ms == line.time_ms
        cutter = cutters.setdefault(line.partition, WindowCutter("media", data.target_spec.window, "t", line.partition))
        cutter.add(offset, read.event_time_ms, read.keys, "e", read.text)
    windows = [window for cutter in cutters.values() for window in cutter.take_closed()]
    assert {window.closed_by for window in windows} == {"watermark"}
    assert sorted(window.key for window in windows) == sorted(data.truth)
    assert all(cutter.open_windows == 0 and not cutter.take_late() for cutter in cutters.values())


def test_the_embedded_broker_has_room(data: DemoData) -> None:
    """Every partition stays below 3 MB, and every partition gets lines."""
    for lines in (data.history, data.live):
        sizes: Counter[int] = Counter()
        for line in lines:
            sizes[line.partition] += len(line.text) + 80
        assert set(sizes) == set(range(PARTITIONS))
        assert max(sizes.values()) < 3_000_000


def test_live_lines_follow_the_history_and_lie_in_the_past(data: DemoData) -> None:
    """History ends before the live part begins, so nothing is trained on what is scored."""
    assert max(line.time_ms for line in data.history) < min(line.time_ms for line in data.live)
    assert not {line.key for line in data.history if line.key} & set(data.truth)


def test_the_source_is_written_as_labelled_json_lines(data: DemoData, tmp_path: Path) -> None:
    """A user's file: one JSON object a line, with message and label."""
    write_source(tmp_path / "source.jsonl", data)
    records = [json.loads(line) for line in (tmp_path / "source.jsonl").read_text().splitlines()]
    assert [(record["message"], record["label"] == "anomalous") for record in records] == list(data.source)


def test_endless_lines_go_on_in_order_of_time() -> None:
    """Shift follows shift without a step back or a gap of more than a minute."""
    lines = list(islice(shifts(1, 600.0, 1_000_000), 30_000))
    steps = [two.time_ms - one.time_ms for one, two in pairwise(lines)]
    assert lines[0].time_ms >= 1_000_000
    assert min(steps) >= 0
    assert max(steps) < 60_000
    assert len({line.key for line in lines}) > 1_500
