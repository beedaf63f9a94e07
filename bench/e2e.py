"""The main job on real logs, end to end: produce, train, publish, stream, crash, restart, replay, compare, score."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import datasets
from bench.agreement import ReplayComparison, compare
from bench.datasets import Target
from bench.errors import MisuseError
from bench.metrics import average_precision, keyword, most_wrong, new_event
from bench.recorded import NAME, PublishedEvents
from bench.result import environment
from bench.streaming import Crash, Stream
from bench.training import lines_of, recorded_answers, train
from bench.truth import Truth, read_truth
from schemas.alert import Alert
from schemas.closed_window import ClosedWindow
from schemas.codec import R, decode
from schemas.topics import Topics
from testkit.checker import Audit, audit
from testkit.confusion import confusion
from testkit.kafka_io import Kafka
from testkit.lines import Place, RecordedLine
from testkit.local_kafka import LocalKafka
from testkit.processes import fusionlog_process
from testkit.reference_windows import RULES, ReferenceWindow, reference_windows

PREFIX = "bench"
TOPICS_SECONDS = 120.0


@dataclass(frozen=True)
class Options:
    """Options of a run.

    Attributes:
        labels: recorded answers that label the target's history; None for the heuristic labeller.
        bootstrap_servers: a running Kafka without the benchmark's topics; None starts one.
        work: folder for settings, logs and the trainer's files, which is kept; None uses a temporary one.
        source_lines, part_lines, part_blocks, training: limits and settings for a smaller run in tests.
    """

    data: Path
    source: str
    target: str
    labels: Path | None = None
    seed: int = 0
    bootstrap_servers: str | None = None
    work: Path | None = None
    source_lines: int | None = None
    part_lines: int = datasets.BGL_PART_LINES
    part_blocks: int = datasets.HDFS_PART_BLOCKS
    training: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Check the options.

        Raises:
            MisuseError: they contradict the data or each other.
        """
        if self.source == self.target:
            raise MisuseError(f"--source must differ from --target, got {self.source!r} for both: labels would leak")
        if not self.data.is_dir():
            raise MisuseError(f"--data must be the folder of real logs, got {self.data}, which is not a folder")
        if self.labels is not None and not self.labels.is_file():
            raise MisuseError(f"--labels must be a file of recorded answers, got {self.labels}, which is not a file")


@dataclass(frozen=True)
class Outcome:
    """The contents of the topics after the run, and what was produced."""

    lines: Mapping[Place, RecordedLine]
    cuts: Sequence[ReferenceWindow]
    windows: Sequence[ClosedWindow]
    alerts: Sequence[Alert]
    audit: Audit
    replay: ReplayComparison
    crash: Crash
    late: int
    dead_letters: int


def run(options: Options) -> dict[str, Any]:
    """Run all steps; the result, with the documented keys first.

    Raises:
        MisuseError: the options are wrong.
        BenchError: a file has the wrong content.
        TestkitError: a step fails.
    """
    options.check()
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fusionlog-bench-")))
        work.mkdir(parents=True, exist_ok=True)
        target = datasets.target(options.data, options.target, options.part_lines, options.part_blocks)
        servers = options.bootstrap_servers
        if servers is None:
            report_step("start Kafka")
            servers = stack.enter_context(LocalKafka()).bootstrap_servers
        kafka = Kafka(servers)
        _create_topics(kafka, target, work)
        answers, training_seconds = _train(options, kafka, target, work)
        outcome = _stream(kafka, target, work)
    result = _result(options, target, outcome, read_truth(options.data, target.name))
    result["seconds"] = round(time.monotonic() - started, 1)
    result |= _details(options, target, outcome)
    result |= {"training_seconds": round(training_seconds, 1), "answers": answers}
    return result | {"seed": options.seed, **environment()}


def passed(result: Mapping[str, Any]) -> bool:
    """Whether everything holds that must hold for any model: nothing lost or partial, and an identical replay."""
    return not result["lost_windows"] and not result["partial_windows"] and bool(result["replay_identical"])


def report_step(text: str) -> None:
    """Print a step on standard error; standard output is for the result."""
    print(text, file=sys.stderr, flush=True)


def _create_topics(kafka: Kafka, target: Target, work: Path) -> None:
    """Create fusionlog's topics with its command, as an operator does, and raw topics that accept old timestamps."""
    arguments = ["--bootstrap-servers", kafka.servers, "--topic-prefix", PREFIX, "--partitions", str(target.partitions)]
    with fusionlog_process(["topics", "create", *arguments], work / "topics.log") as program:
        program.finish(TOPICS_SECONDS)
    for topic in (target.history_topic, target.live_topic):
        kafka.create_raw_topic(topic, target.partitions)


def _train(options: Options, kafka: Kafka, target: Target, work: Path) -> tuple[dict[str, int] | None, float]:
    topic = target.history_topic
    report_step(f"produce {len(target.history)} lines of history to {topic}")
    places = kafka.produce_lines(topic, target.history, target.partitions)
    settings: dict[str, Any] = {"seed": options.seed}
    answers = None
    if options.labels is not None:
        file = work / "answers.jsonl"
        answers = recorded_answers(kafka, options.data, options.labels, target, places, file)
        settings |= {"labeller": "recorded", "recorded": {"answers": str(file)}}
        report_step(f"{answers['answered']} of {answers['windows']} windows of the history have a recorded answer")
    source = datasets.source(options.data, options.source, work, options.source_lines)
    report_step(f"train {target.name} from {options.source}, and publish")
    return answers, train(kafka, PREFIX, source, target, work, settings | options.training)


def _stream(kafka: Kafka, target: Target, work: Path) -> Outcome:
    topics = Topics(PREFIX)
    stream = Stream(kafka, PREFIX, target, work)
    report_step(f"stream {len(target.live)} lines through the agent, kill it once, restart it")
    places, crash = stream.run_with_crash(f"bench-{target.name}")
    late, dead_letters = len(kafka.read(topics.late)), len(kafka.read(topics.dlq))
    report_step("replay the same offsets a second time")
    stream.run_to_end(f"bench-{target.name}-replay", replay=True)
    windows, alerts = _decoded(kafka, topics.windows, ClosedWindow), _decoded(kafka, topics.alerts, Alert)
    first = [window for window in windows if not window.replay]
    second = [window for window in windows if window.replay]
    alerts_first = [alert for alert in alerts if not alert.data.replay]
    alerts_second = [alert for alert in alerts if alert.data.replay]
    cuts = reference_windows(kafka.read_raw(target.live_topic), RULES[target.name])
    return Outcome(
        lines=dict(zip(places, target.live, strict=True)),
        cuts=cuts,
        windows=first,
        alerts=alerts_first,
        audit=audit(first, cuts),
        replay=compare(first, second, (alerts_first, alerts_second)),
        crash=crash,
        late=late,
        dead_letters=dead_letters,
    )


def _decoded(kafka: Kafka, topic: str, kind: type[R]) -> list[R]:
    return [decode(message.value() or b"", kind) for message in kafka.read(topic)]


def _result(options: Options, target: Target, outcome: Outcome, truth: Truth) -> dict[str, Any]:
    """The documented keys in their order, and the verdicts compared with the truth."""
    lines = [lines_of(window, outcome.lines) for window in outcome.cuts]
    labels = [
        truth.anomalous(window.key, (line.row for line in held))
        for window, held in zip(outcome.cuts, lines, strict=True)
    ]
    # A window that was sent again after the crash counts by its first record.
    by_place = {(window.key, window.partition, window.offsets[0]): window for window in reversed(outcome.windows)}
    seen = [by_place.get((window.key, window.partition, window.offsets[0])) for window in outcome.cuts]
    alerted = {alert.id for alert in outcome.alerts}
    verdicts = [window is not None and window.id in alerted for window in seen]
    ours = confusion(verdicts, labels)
    by_keyword = confusion([keyword(line.value for line in held) for held in lines], labels)
    published = PublishedEvents(options.data, target.name)
    events = [[published.of(line.row, line.value) for line in held] for held in lines]
    known = {published.of(line.row, line.value) for line in target.history}
    by_new_event = confusion([new_event(held, known) for held in events], labels)
    scores = [window.score if window is not None else 0.0 for window in seen]
    return {
        "source": options.source,
        "target": options.target,
        "lines": len(target.history) + len(target.live),
        "windows": len({window.id for window in outcome.windows}),
        "alerts": len(alerted),
        "precision": round(ours.precision, 4),
        "recall": round(ours.recall, 4),
        "f1": round(ours.f1, 4),
        "keyword_f1": round(by_keyword.f1, 4),
        "labeller": next((window.model.labeller for window in outcome.windows), ""),
        "lost_windows": len(outcome.audit.lost),
        "partial_windows": len(outcome.audit.partial),
        "duplicate_alerts": len(outcome.alerts) - len(alerted),
        "replay_identical": outcome.replay.identical,
        "seconds": 0.0,
        "new_event_f1": round(by_new_event.f1, 4),
        "always_anomalous_f1": round(confusion([True] * len(labels), labels).f1, 4),
        "average_precision": round(average_precision(scores, labels), 4),
        "false_positive_rate": round(ours.false_positive_rate, 5),
        "anomalous_windows": sum(labels),
        "confusion": asdict(ours),
        "wrong": [asdict(wrong) for wrong in most_wrong(events, verdicts, labels)],
    }


def _details(options: Options, target: Target, outcome: Outcome) -> dict[str, Any]:
    model = next((window.model for window in outcome.windows), None)
    return {
        "protocol": "P1: the first part in time trains, the last part is streamed; nothing is fitted on the last part",
        "labels": f"{NAME}: {options.labels.name}" if options.labels is not None else None,
        "history_lines": len(target.history),
        "live_lines": len(target.live),
        "end_records": target.partitions,
        "repeated_window_records": outcome.audit.repeated,
        "contradictory_windows": outcome.audit.contradictory,
        "max_score_difference": outcome.replay.max_score_difference,
        "late_lines": outcome.late,
        "dead_letters": outcome.dead_letters,
        "crash": asdict(outcome.crash),
        "model": {"version": model.version, "sha256": model.sha256} if model is not None else None,
    }
