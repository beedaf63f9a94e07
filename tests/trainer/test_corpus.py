"""From lines to signatures."""

import dataclasses
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest
from structlog.testing import capture_logs

from detector.errors import DecodeError
from detector.input.line_reader import LineReader
from detector.model.runs import Runs, run_lengths
from detector.parsing.masking import Masker
from detector.parsing.parser import LineParser
from detector.parsing.templates import Template, TemplateMatcher
from detector.system import SystemSpec, WindowSpec
from detector.windowing.cutter import WindowCutter
from detector.windowing.state import Window
from fusionlog.settings.load import load_settings
from trainer.data.corpus import EXAMPLE_WINDOWS, build_corpus, check_labels, read_corpus
from trainer.data.lines import UNKNOWN_TIME_MS, SourceLine, TargetLine
from trainer.data.signatures import Corpus
from trainer.data.sources import Target, open_target
from trainer.data.template_sample import learn_templates, sample
from trainer.data.window_labels import KeyLabels
from trainer.errors import SourceError
from trainer.progress import Progress, ProgressRecord, Stage
from trainer.settings import TrainerSettings

SPEC = SystemSpec(
    name="orders",
    key_pattern=r"order=(\S+)",
    window=WindowSpec(kind="session", idle_seconds=60, lateness_seconds=5, max_lines=20),
)
STEPS = ("received", "payment of 250 accepted", "packed in box 4", "shipped by carrier 12")


def traffic(count: int = 40, seed: int = 0, partitions: int = 1) -> list[TargetLine]:
    """Interleaved orders, some of which fail, as target lines by partition."""
    rng = random.Random(seed)
    events = []
    for order in range(count):
        at = order * 4_000 + rng.randrange(3_000)
        steps = [*STEPS[:2], "payment refused by bank"] if order % 10 == 9 else list(STEPS)
        for step in steps:
            events.append((at, f"order={order} {step}"))
            at += rng.randrange(1, 30_000)
    offsets = [0] * partitions
    lines = []
    for at, text in sorted(events):
        partition = int(text.split()[0].removeprefix("order=")) % partitions
        lines.append(TargetLine(text.encode(), at, "raw", partition, offsets[partition]))
        offsets[partition] += 1
    return sorted(lines, key=lambda line: line.partition)


def matcher_of(lines: Sequence[TargetLine | SourceLine], spec: SystemSpec = SPEC) -> TemplateMatcher:
    """A matcher with the templates of the lines."""
    return TemplateMatcher(learn_templates(lines, spec))


def labelled(lines: Sequence[TargetLine], is_anomalous: Callable[[TargetLine], bool | None]) -> list[SourceLine]:
    """The same lines as a source's."""
    return [
        SourceLine(line.value, line.timestamp, line.topic, line.partition, line.offset, is_anomalous(line))
        for line in lines
    ]


def refused(line: TargetLine) -> bool:
    """Whether the line tells of a failed payment."""
    return b"refused" in (line.value or b"")


def test_windows_are_reduced_to_distinct_sequences() -> None:
    """Counts add up to all windows, examples are capped, and every event has its text."""
    lines = [
        TargetLine(f"order={order} {step}".encode(), order * 1_000_000, "raw", 0, order * 2 + at)
        for order in range(100)
        for at, step in enumerate(("received", "shipped"))
    ]
    corpus = build_corpus(lines, SPEC, matcher_of(lines))
    assert corpus.windows == 100
    [signature] = corpus.signatures
    assert signature.windows == 100
    assert len(signature.example_window_ids) == EXAMPLE_WINDOWS
    assert [corpus.texts[event] for event, _ in signature.runs] == ["order=<NUM> received", "order=<NUM> shipped"]
    assert corpus.lines == 200
    assert corpus.offset_ranges == {"raw/0": (0, 199)}


def agent_windows(lines: Sequence[TargetLine], matcher: TemplateMatcher, batch: int) -> list[Window]:
    """Windows as an agent cuts them that takes lines in batches."""
    reader, parser = LineReader(SPEC), LineParser(Masker(SPEC.masks, SPEC.max_tokens), matcher)
    cutters: dict[int, WindowCutter] = {}
    windows: list[Window] = []
    for start in range(0, len(lines), batch):
        for line in lines[start : start + batch]:
            cutter = cutters.setdefault(line.partition, WindowCutter(SPEC.name, SPEC.window, "raw", line.partition))
            [read] = reader.lines(line.value, line.timestamp)
            time_ms = line.timestamp if read.event_time_ms is None else read.event_time_ms
            cutter.add(line.offset, time_ms, read.keys, parser.event(read.text).id, read.text)
        for cutter in cutters.values():
            windows += cutter.take_closed()
    for cutter in cutters.values():
        cutter.flush()
        windows += cutter.take_closed()
    return windows


@pytest.mark.parametrize("batch", [1, 7, 256])
def test_the_trainer_cuts_the_agents_windows(batch: int) -> None:
    """A plain loop over reader, parser and cutter gives the same window ids and sequences, for any batch size."""
    lines = traffic(partitions=3)
    matcher = matcher_of(lines)
    corpus = build_corpus(lines, SPEC, matcher)
    expected: dict[Runs, set[str]] = {}
    for window in agent_windows(lines, matcher, batch):
        expected.setdefault(run_lengths(window.event_ids), set()).add(window.id)
    assert {one.runs: set(one.example_window_ids) for one in corpus.signatures} == expected
    assert corpus.windows == sum(len(ids) for ids in expected.values())


def test_partitions_may_be_read_in_turns() -> None:
    """Interleaved partitions give the same windows as one after another."""
    lines = traffic(partitions=3)
    matcher = matcher_of(lines)
    turns = sorted(lines, key=lambda line: line.offset)
    one, other = build_corpus(lines, SPEC, matcher), build_corpus(turns, SPEC, matcher)
    assert {row.runs: row.windows for row in one.signatures} == {row.runs: row.windows for row in other.signatures}


def test_windows_and_texts_have_an_order_that_does_not_come_from_the_partitions() -> None:
    """The seed draws windows by their place, so it must not matter which partition or topic is read first."""
    lines = [
        TargetLine(f"order={order} {STEPS[(order + at) % 4]}".encode(), at, "raw", order, at)
        for order in range(4)
        for at in range(3)
    ]
    backwards = sorted(lines, key=lambda line: -line.partition)
    elsewhere = [dataclasses.replace(line, topic=f"t{9 - line.partition}") for line in backwards]
    matcher = matcher_of(lines)
    here, there = (build_corpus(given, SPEC, matcher) for given in (lines, elsewhere))
    assert len(here.signatures) == 4
    assert [row.runs for row in here.signatures] == [row.runs for row in there.signatures]
    assert list(here.texts.items()) == list(there.texts.items())


def test_a_labelled_line_makes_its_window_anomalous() -> None:
    """A signature's label is the share of its windows that hold a labelled line."""
    lines = traffic()
    corpus = build_corpus(labelled(lines, refused), SPEC, matcher_of(lines))
    check_labels(corpus)
    assert sum((one.label or 0.0) * one.windows for one in corpus.signatures) == 4
    for one in corpus.signatures:
        assert one.label == any("refused" in corpus.texts[event] for event, _ in one.runs)


def test_key_labels_make_windows_anomalous() -> None:
    """A label file speaks of keys; what lines say does not count then."""
    lines = traffic()
    labels = KeyLabels(frozenset({"0", "1"}))
    corpus = build_corpus(labelled(lines, refused), SPEC, matcher_of(lines), labels)
    assert round(sum((one.label or 0.0) * one.windows for one in corpus.signatures)) == 2


def test_a_target_has_no_labels() -> None:
    """Every signature of a target says None."""
    lines = traffic()
    assert {one.label for one in build_corpus(lines, SPEC, matcher_of(lines)).signatures} == {None}


@pytest.mark.parametrize(
    ("is_anomalous", "message"),
    [
        (lambda _: None, "must be labelled, got no labels"),
        (lambda _: False, "got no anomalous one"),
        (lambda _: True, "got no normal one"),
    ],
)
def test_a_source_needs_both_classes(is_anomalous: Callable[[TargetLine], bool | None], message: str) -> None:
    """A source that cannot teach both is refused, with what to do."""
    lines = traffic()
    corpus = build_corpus(labelled(lines, is_anomalous), SPEC, matcher_of(lines))
    with pytest.raises(SourceError, match=message):
        check_labels(corpus)


def test_unreadable_lines_are_counted_and_left_out() -> None:
    """They neither stop the run nor enter a window."""
    good = traffic()
    matcher = matcher_of(good)
    bad = [
        TargetLine(value, 0, "raw", 1, offset)
        for offset, value in enumerate([None, b"", b"\xff", b"{", b"x" * 2_000_000])
    ]
    with pytest.raises(DecodeError):
        LineReader(SPEC).lines(bad[-1].value, 0)
    corpus = build_corpus(good + bad, SPEC, matcher)
    assert corpus.unreadable_lines == 5
    assert corpus.lines == len(good) + 5
    assert corpus.signatures == build_corpus(good, SPEC, matcher).signatures


def test_lines_without_keys_belong_to_no_window() -> None:
    """They are read, and the windows are those of the other lines."""
    keyed = traffic()
    lines = [*keyed, TargetLine(b"heartbeat", 10**9, "raw", 0, 10**6)]
    corpus = build_corpus(lines, SPEC, matcher_of(lines))
    assert corpus.lines == len(keyed) + 1
    assert sum(one.windows * sum(one.counts().values()) for one in corpus.signatures) == len(keyed)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"must have lines, got none: produce logs first"),
        (
            [TargetLine(b"no key here", 0, "raw", 0, 0)],
            r"target 'orders' must have lines that name a key.* --key-pattern",
        ),
        ([TargetLine(b"", 0, "raw", 0, 0)], r"must have readable lines, got 1, all of them unreadable \(empty\)"),
    ],
)
def test_no_window_is_an_error_that_helps(lines: list[TargetLine], message: str) -> None:
    """A history without lines, one without keys and one without readable lines have messages of their own."""
    with pytest.raises(SourceError, match=message):
        build_corpus(lines, SPEC, matcher_of(lines))


def test_a_file_line_without_a_time_takes_the_time_before_it() -> None:
    """A stack trace in a dated log neither is late nor moves the watermark; a log without times has no gaps."""
    spec = SPEC.model_copy(
        update={"layout": "custom", "line_pattern": r"(?P<time>\d+) (?P<message>.*)", "time_format": "epoch_s"}
    )
    texts = [b"1000 order=1 received", b"at order=1 frame", b"1010 order=1 shipped", b"2000 order=1 received"]
    lines = [TargetLine(text, UNKNOWN_TIME_MS, "f", 0, offset) for offset, text in enumerate(texts)]
    corpus = build_corpus(lines, spec, matcher_of(lines, spec))
    assert sorted(sum(run for _, run in one.runs) for one in corpus.signatures) == [1, 3]


def test_a_source_without_keys_is_told_its_own_options() -> None:
    """The side, the name and the option: there are two of each in a run."""
    lines = [TargetLine(b"no key here", 0, "raw", 0, 0)]
    with pytest.raises(SourceError, match=r"source 'orders' must .* --source-key-pattern.* --source-window-kind"):
        build_corpus(lines, SPEC, matcher_of(lines), role="source")


@pytest.mark.parametrize("kind", ["tumbling", "count"])
def test_lines_of_a_system_without_keys_form_windows(kind: Literal["tumbling", "count"]) -> None:
    """What the error advises where there are no keys: one row of windows for a partition."""
    spec = SystemSpec(name="syslog", window=WindowSpec(kind=kind, max_lines=10))
    lines = [TargetLine(b"disk %d is full" % number, 0, "raw", 0, number) for number in range(30)]
    corpus = build_corpus(lines, spec, matcher_of(lines, spec))
    assert corpus.windows == 3


def test_a_time_without_a_year_in_a_file_is_read() -> None:
    """Syslog names no year: the lines of a file lie before now, across the turn of a year too."""
    spec = SPEC.model_copy(
        update={
            "layout": "custom",
            "line_pattern": r"(?P<time>\w{3} [ \d]\d [\d:]{8}) (?P<message>.*)",
            "time_format": "%b %d %H:%M:%S",
        }
    )
    texts = [
        b"Dec 31 23:59:50 order=1 a",
        b"no time order=1 b",
        b"Jan  1 00:00:05 order=1 c",
        b"Jan  1 09:00:00 order=1 a",
    ]
    lines = [TargetLine(text, UNKNOWN_TIME_MS, "f", 0, offset) for offset, text in enumerate(texts)]
    corpus = build_corpus(lines, spec, matcher_of(lines, spec))
    assert sorted(sum(run for _, run in one.runs) for one in corpus.signatures) == [1, 3]
    assert corpus.last_time_ms > 10**12


def test_days_are_those_of_nearly_all_lines() -> None:
    """The days of a history are the time that its lines span; a few wrong times are not believed; no time is no day."""
    day_ms = 86_400_000
    first = 1_700_000_000_000
    times = [first + 10 * day_ms * number // 1_000 for number in range(1_000)]

    def days(times: Sequence[int]) -> float:
        lines = [TargetLine(b"order=%d a" % n, time, "raw", 0, n) for n, time in enumerate(times)]
        return build_corpus(lines, SPEC, matcher_of(lines, SPEC)).days

    assert days(times) == pytest.approx(10.0, rel=0.01)
    assert days([1, 2, 3, *times[3:-2], 10**13, 10**13]) == pytest.approx(10.0, rel=0.01)
    assert days([UNKNOWN_TIME_MS] * 50) == 0.0


@pytest.mark.parametrize(
    "first",
    ["2025-03-04T10:00:00.5Z ", "2025-03-04 10:00:00,500 ", "[2025-03-04 10:00:00] ", "Mar  4 10:00:00 "],
)
def test_plain_lines_that_begin_with_a_time_are_warned_of(first: str, tmp_path: Path) -> None:
    """Training says that the times are not read, and what it says to set reads them."""
    path = tmp_path / "app.log"
    path.write_text(f"{first}order=1 received\n" * 5, "utf-8")
    with capture_logs() as logs:
        corpus, _ = target_corpus(path, key_pattern=r"order=(\S+)")
    [warned] = [log for log in logs if log["event"] == "times in lines are not read"]
    assert (warned["log_level"], warned["system"]) == ("warning", "target")
    assert corpus.last_time_ms == 0
    _, pattern, _, time_format, _ = warned["options"].split("'")
    with capture_logs() as logs:
        mended, _ = target_corpus(
            path, key_pattern=r"order=(\S+)", layout="custom", line_pattern=pattern, time_format=time_format
        )
    assert mended.last_time_ms > 10**12
    assert list(mended.texts.values()) == ["order=<NUM> received"]
    assert not logs


def test_lines_whose_time_is_read_are_not_warned_of(tmp_path: Path) -> None:
    """JSON lines with a time field, and lines without a time."""
    path = tmp_path / "app.log"
    path.write_text('{"message": "order=1 a", "time": "2025-03-04T10:00:00Z"}\norder=1 received\n', "utf-8")
    with capture_logs() as logs:
        target_corpus(path, key_pattern=r"order=(\S+)")
    assert not logs


def test_the_sample_has_the_beginning_and_some_of_the_rest_in_order() -> None:
    """It is as large as asked, ordered, and the same for a seed."""
    lines = [TargetLine(b"", 0, "raw", 0, offset) for offset in range(1_000)]
    drawn = [line.offset for line in sample(lines, 100, random.Random(1))]
    assert drawn[:80] == list(range(80))
    assert len(drawn) == 100
    assert drawn == sorted(set(drawn))
    assert max(drawn) > 500
    assert drawn == [line.offset for line in sample(lines, 100, random.Random(1))]
    assert len(list(sample(lines[:50], 100, random.Random(1)))) == 50


def test_templates_known_before_are_kept() -> None:
    """Learning can start from those of an earlier model."""
    known = learn_templates(traffic(), SPEC)
    more = learn_templates([TargetLine(b"disk 3 full", 0, "raw", 0, 0)], SPEC, existing=[one.text for one in known])
    assert {one.text for one in more} == {one.text for one in known} | {"disk <NUM> full"}


def target_corpus(path: Path, **spec: str) -> tuple[Corpus, tuple[Template, ...]]:
    """Corpus and templates of a target file."""
    values = {"target": {"path": str(path), "spec": {"name": "target", **spec}}}
    stream = open_target(load_settings(TrainerSettings, None, values, {}))
    assert isinstance(stream, Target)
    return read_corpus(stream)


def test_labels_in_a_target_file_change_nothing(tmp_path: Path) -> None:
    """Permuting a JSON target's labels, or leaving them out, gives a byte-identical corpus."""
    lines = traffic()
    rng = random.Random(3)
    results = []
    for labels in (["normal"] * len(lines), [rng.choice(["normal", "anomalous"]) for _ in lines], [None] * len(lines)):
        path = tmp_path / "target.jsonl"
        records = [
            {"message": (line.value or b"").decode(), "timestamp": line.timestamp} | ({"label": label} if label else {})
            for line, label in zip(lines, labels, strict=True)
        ]
        path.write_text("\n".join(json.dumps(record) for record in records), "utf-8")
        corpus, templates = target_corpus(path, key_pattern=r"order=(\S+)")
        results.append(json.dumps([dataclasses.asdict(corpus), [one.text for one in templates]]))
    assert results[0] == results[1] == results[2]


def test_progress_counts_every_line_twice(tmp_path: Path) -> None:
    """Once for the templates, once for the windows."""
    path = tmp_path / "a.log"
    path.write_bytes(b"order=1 received\n" * 12_345)
    stream = open_target(
        load_settings(TrainerSettings, None, {"target": {"path": str(path), "spec": {"key_pattern": "order=1"}}}, {})
    )
    records: list[ProgressRecord] = []
    read_corpus(stream, progress=Progress(records.append))
    steps: dict[str, int] = {}
    for record in records:
        if isinstance(record, Stage):
            name = record.name
        else:
            steps[name] = steps.get(name, 0) + record.steps
    assert steps == {"target: templates": 12_345, "target: windows": 12_345}
