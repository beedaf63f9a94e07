"""The demo, top to bottom: generate, train, start the agent, stream, watch, check, score."""

import signal
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Console

from broker.admin import ensure_topics
from broker.embedded import embedded_broker
from broker.errors import BrokerError
from broker.settings import KafkaSettings
from detector.model.detection_model import DetectionModel
from fusionlog.demo import configs
from fusionlog.demo.checks import check_all_kept, check_room, consumed_lines, places_of
from fusionlog.demo.generator import PARTITIONS, DemoData, GeneratedLine, closing_lines, generate, write_source
from fusionlog.demo.model import load_champion, novelty_of
from fusionlog.demo.observer import Observer
from fusionlog.demo.result import DemoResult
from fusionlog.demo.scorer import Scores, score
from fusionlog.demo.topics import Follower, send
from fusionlog.errors import DemoError
from fusionlog.render.alerts import alert_block, alert_line, print_lines
from fusionlog.render.spinner import Spinner
from fusionlog.settings.load import load_settings
from fusionlog.signals import interrupted_by
from schemas.alert import Alert
from schemas.topics import Topics
from testkit.errors import ProcessError, TestkitError
from testkit.kafka_io import Kafka
from testkit.processes import ManagedProcess, free_port, fusionlog_process
from trainer.progress import Stage, decode_records

EMBEDDED = "embedded"
TRAIN_SECONDS = 240.0
READY_SECONDS = 60.0
WINDOWS_SECONDS = 90.0
_FULL_ALERTS = 12


@dataclass(frozen=True)
class DemoOptions:
    """Options of the demo.

    Attributes:
        bootstrap_servers: a Kafka to use instead of the embedded broker.
        keep: leave the folder with settings, logs and the generated source.
    """

    seed: int = 1
    bootstrap_servers: str | None = None
    keep: bool = False


def run(options: DemoOptions, console: Console) -> DemoResult:
    """Run the demo; everything it started is stopped and removed when it returns or fails, also on Ctrl-C.

    Raises:
        DemoError: a program failed or lines are missing.
        SettingsError: the address of the servers is invalid.
    """
    try:
        return _run(options, console)
    except ProcessError as error:
        raise DemoError(error.problem, error.log) from error
    except (TestkitError, BrokerError) as error:
        raise DemoError(str(error)) from error


def _run(options: DemoOptions, console: Console) -> DemoResult:
    started = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(interrupted_by((signal.SIGTERM,)))
        folder = stack.enter_context(_folder(options.keep, console))
        servers = options.bootstrap_servers or stack.enter_context(embedded_broker()).bootstrap_servers
        demo = _Demo(options, servers, folder, console)
        demo.prepare()
        demo.train()
        scores, consumed, live_seconds = demo.detect()
        model = demo.model
        return DemoResult(
            seed=options.seed,
            broker=options.bootstrap_servers or EMBEDDED,
            topic_prefix=demo.topics.prefix,
            lines_produced=len(demo.live),
            lines_consumed=consumed,
            scores=scores,
            kinds=demo.data.kinds,
            windows_by_kind=Counter(kind for kind in demo.data.truth.values() if kind),
            lines_per_second=round(len(demo.live) / live_seconds, 1),
            model_version=model.version,
            model_sha256=model.sha256,
            labeller=model.labeller,
            train_seconds=round(demo.train_seconds, 1),
            seconds=round(time.monotonic() - started, 1),
        )


class _Demo:
    """The data, topics and files of one run."""

    def __init__(self, options: DemoOptions, servers: str, folder: Path, console: Console) -> None:
        prefix = f"fusionlog-demo-{uuid.uuid4().hex[:8]}"
        self._options, self._folder, self._console = options, folder, console
        self._kafka = load_settings(KafkaSettings, None, {"bootstrap_servers": servers, "client_id": prefix}, {})
        self._io = Kafka(self._kafka)
        self.topics = Topics(prefix)
        self._history_topic, self._live_topic = f"{prefix}.raw.history", f"{prefix}.raw.live"
        self._group = f"{prefix}-agent"
        self._seen: set[str] = set()
        self.train_seconds = 0.0
        self.data: DemoData = generate(options.seed)
        self.live: tuple[GeneratedLine, ...] = (*self.data.live, *closing_lines(self.data.live, self.data.target_spec))

    def prepare(self) -> None:
        """Make topics and files, and send the target's history."""
        data = self.data
        self._say(
            f"[bold]1[/]  Systems of seed {self._options.seed}: "
            f"'{data.source_spec.name}', {len(data.source):,} lines with labels; "
            f"'{data.target_spec.name}', {len(data.history):,} lines without, which can fail in {len(data.kinds)} ways"
        )
        if self._options.bootstrap_servers is None:
            check_room(data.history)
            check_room(self.live)
        raw = {self._history_topic: PARTITIONS, self._live_topic: PARTITIONS}
        ensure_topics(self._kafka, self.topics, raw=raw, raw_config={"retention.ms": "-1"})
        write_source(self._folder / configs.SOURCE_FILE, data)
        send(self._io, self._history_topic, data.history, lambda: None)
        check_all_kept(self._io, self._history_topic, data.history)
        self._say(f"   broker {self._kafka.bootstrap_servers}, topics {self.topics.prefix}.*")

    def train(self) -> None:
        """`fusionlog train`: source from its file, target by replay, model published."""
        config = configs.write_trainer(
            self._folder, self._kafka, self.topics, self.data, self._history_topic, self._options.seed
        )
        self._say("[bold]2[/]  Training on the past, without a label of the target: fusionlog train")
        progress = self._folder / "progress.jsonl"
        command = ["train", "--config", str(config), "--progress-file", str(progress)]
        started = time.monotonic()
        with (
            Spinner(self._console, "training") as spinner,
            fusionlog_process(command, self._folder / "train.log", stop_signal=signal.SIGINT) as training,
        ):
            training.finish(TRAIN_SECONDS, lambda: spinner.update(_stage_of(progress)))
        self.train_seconds = time.monotonic() - started
        model = self.model
        self._say(
            f"   model {model.name} version {model.version} ({model.sha256[:12]}, labeller {model.labeller}) published "
            f"after {self.train_seconds:.0f} s"
        )

    def detect(self) -> tuple[Scores, int, float]:
        """Run the agent over the live lines; returns scores, consumed lines, and seconds that the lines took."""
        port = free_port()
        config = configs.write_agent(self._folder, self._kafka, self.topics, self.data, self._live_topic, port)
        self._say("[bold]3[/]  Starting the worker: fusionlog agent")
        log = self._folder / "agent.log"
        owned = (self.topics.alerts, self.topics.windows, self.topics.late, self.topics.dlq)
        command = ["agent", "--config", str(config)]
        with fusionlog_process(command, log) as agent, Follower(self._kafka, owned) as follower:
            with Spinner(self._console, "waiting for the agent") as spinner:
                agent.wait_until(lambda: _is_ready(port), "readiness of the agent", READY_SECONDS, spinner.update)
            observer = Observer(self.topics, follower, self._show)
            seconds = self._stream(agent, observer)
            code = agent.stop()
            if code != 0:
                raise DemoError(f"the agent must end with 0 after SIGTERM, got {code}", agent.tail())
            observer.poll()
        consumed = consumed_lines(self._io, self._group, self._live_topic, self.live)
        windows = observer.scored_windows(places_of(self.live), novelty_of(self.model, self.data.target_spec))
        self._say(
            f"   {len(self.live):,} lines in {seconds:.1f} s, {len(observer.windows):,} windows, "
            f"{len(observer.alerts)} alerts, {len(observer.late)} late, {len(observer.dead)} dead letters"
        )
        return score(windows, self.data.truth), consumed, seconds

    @cached_property
    def model(self) -> DetectionModel:
        """The model that serves, read back from the broker as the agent reads it."""
        return load_champion(self._kafka, self.topics, self.data.target_spec.name)

    def _stream(self, agent: ManagedProcess, observer: Observer) -> float:
        """Send the live lines, show alerts meanwhile, wait until every window is closed; returns the seconds."""
        self._say(
            f"[bold]4[/]  Streaming {len(self.live):,} live lines; alerts as they come, the first of a kind in full:\n"
        )
        started = time.monotonic()

        def between() -> None:
            agent.check()
            observer.poll()

        send(self._io, self._live_topic, self.live, between)
        check_all_kept(self._io, self._live_topic, self.live)
        keyed = {place for place, line in places_of(self.live).items() if line.key}
        agent.wait_until(lambda: observer.complete(keyed), "the closing of every window", WINDOWS_SECONDS)
        self._say("")
        return time.monotonic() - started

    def _show(self, alert: Alert) -> None:
        """Print the first alert of a kind in full, later ones in one line each."""
        full = alert.data.fingerprint not in self._seen and len(self._seen) < _FULL_ALERTS
        if full:
            self._seen.add(alert.data.fingerprint)
        print_lines(self._console, alert_block(alert) if full else alert_line(alert))

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


@contextmanager
def _folder(keep: bool, console: Console) -> Iterator[Path]:
    if not keep:
        with tempfile.TemporaryDirectory(prefix="fusionlog-demo-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    folder = Path(tempfile.mkdtemp(prefix="fusionlog-demo-"))
    try:
        yield folder
    finally:
        console.print(f"settings, logs and data are kept in {folder}", soft_wrap=True)


def _stage_of(progress: Path) -> str:
    """The stage that the training run is in, by the last progress record that names one."""
    records = decode_records(progress.read_bytes()) if progress.exists() else ()
    return next((record.name for record in reversed(list(records)) if isinstance(record, Stage)), "")


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 (the one good answer)
    except OSError:  # not listening yet, or 503
        return False
