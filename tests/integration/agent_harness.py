"""What the agent's integration tests share: agent processes, records in and out, and an independent cut of windows."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as AioPartition
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from broker.admin import ensure_topics
from broker.registry.blob_stores import save_artifact
from broker.registry.kafka_store import KafkaStore, write_all
from broker.registry.records import publish
from broker.settings import KafkaSettings
from broker.topic_reader import read_topic
from detector.testing import SYSTEM
from schemas.chunks import cut
from schemas.model_record import ModelAlias, ModelPointer
from schemas.topics import Topics

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 90.0
_PROGRAM = (
    "import sys; from agent.app import run; from agent.settings import AgentSettings; "
    "from fusionlog.settings.load import load_settings; from fusionlog.settings.logs import configure_logs; "
    "settings = load_settings(AgentSettings, sys.argv[1]); configure_logs(settings.log.format, settings.log.level); "
    "sys.exit(run(settings))"
)


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Poll until a condition holds; fails, saying what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.3)
    raise AssertionError(f"{what} did not happen within {seconds:g} s")


class Bench:
    """Topics of one test on a broker, and what tests do with them."""

    def __init__(
        self,
        servers: str | KafkaSettings,
        name: str,
        partitions: int = 2,
        raw_config: Mapping[str, str] | None = None,
    ) -> None:
        self.kafka = servers if isinstance(servers, KafkaSettings) else KafkaSettings(bootstrap_servers=servers)
        self.topics = Topics(f"t-{name}")
        self.raw = f"raw-{name}"
        self.group = f"group-{name}"
        self.partitions = partitions
        ensure_topics(
            self.kafka, self.topics, {self.raw: partitions}, raw_config={"retention.ms": "-1", **(raw_config or {})}
        )
        self._producer = Producer(self.kafka.librdkafka() | {"acks": "all", "linger.ms": 5})

    def produce(self, values: Sequence[tuple[int, bytes | None, int]]) -> None:
        """Write (partition, value, time stamp in ms) records and wait for their acknowledgements."""
        for partition, value, time_ms in values:
            self._producer.produce(self.raw, value, partition=partition, timestamp=time_ms)
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def read(self, topic: str) -> list[Message]:
        """Every record of a topic."""
        return list(read_topic(self.kafka, topic))

    def records(self, topic: str) -> list[Any]:
        """Every record of a topic, as JSON."""
        return [json.loads(message.value()) for message in self.read(topic) if message.value() is not None]

    def ends(self) -> dict[int, int]:
        """End of the raw topic's partitions."""
        consumer = Consumer(self.kafka.librdkafka() | {"group.id": "ends"})
        try:
            return {
                number: consumer.get_watermark_offsets(TopicPartition(self.raw, number), timeout=30)[1]
                for number in range(self.partitions)
            }
        finally:
            consumer.close()

    def committed(self) -> dict[int, tuple[int, str]]:
        """Committed offset and metadata of the raw topic's partitions; offset -1 where there is none."""

        async def fetch() -> dict[int, tuple[int, str]]:
            # aiokafka: confluent's committed() shows bytes beyond the metadata's end.
            consumer = AIOKafkaConsumer(**self.kafka.aiokafka(), group_id=self.group, enable_auto_commit=False)
            await consumer.start()
            try:
                places = [AioPartition(self.raw, number) for number in range(self.partitions)]
                found = await consumer._coordinator.fetch_committed_offsets(places)
            finally:
                await consumer.stop()
            return {
                place.partition: (found[place].offset, found[place].metadata) if place in found else (-1, "")
                for place in places
            }

        return asyncio.run(fetch())

    def commit(self, positions: Mapping[int, tuple[int, str]]) -> None:
        """Set committed offsets, as a member of the group: the embedded broker takes them from no other."""
        consumer = Consumer(
            self.kafka.librdkafka() | {"group.id": self.group, "enable.auto.commit": False, "session.timeout.ms": 6000}
        )
        try:
            consumer.subscribe([self.raw])
            wait_until(lambda: consumer.poll(0.5) is None and consumer.assignment(), "joining the group")
            places = [TopicPartition(self.raw, number, *position) for number, position in positions.items()]
            consumer.commit(offsets=places, asynchronous=False)
        finally:
            consumer.close()

    def all_committed(self) -> bool:
        """Whether the committed positions have reached the ends (invariant I4)."""
        return {number: offset for number, (offset, _) in self.committed().items()} == self.ends()

    def publish(self, files: Mapping[str, bytes], version: int, *, corrupt: bool = False) -> str:
        """Publish an artifact as champion; a corrupt one has a tensor file whose bits differ from its hash."""
        store = KafkaStore(self.kafka, self.topics.model_chunks)
        if corrupt:
            tensors = files["model.safetensors"]
            flipped = bytes([tensors[0] ^ 1]) + tensors[1:]
            for key, chunk in zip((key for key, _ in cut(tensors)), (chunk for _, chunk in cut(flipped)), strict=True):
                write_all(self.kafka, [(self.topics.model_chunks, key.encode(), chunk)])
            sha256 = [store.put(files[name]) for name in ("templates.json", "manifest.json")][-1]
        else:
            sha256 = save_artifact(store, files)
        common = {"system": SYSTEM.name, "version": version, "sha256": sha256}
        pointer = ModelPointer(
            **common, epoch=2 * version, store="kafka://", created_ms=1, labeller="heuristic", size_bytes=1
        )
        alias = ModelAlias(**common, alias="champion", epoch=2 * version + 1, moved_ms=1)
        publish(self.kafka, self.topics, pointer, alias)
        return sha256

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Settings of an agent on this bench."""
        return {
            "kafka": self.kafka.model_dump(mode="json", exclude_defaults=True),
            "topic_prefix": self.topics.prefix,
            "group": self.group,
            "systems": [{"topics": [self.raw], "spec": SYSTEM.model_dump(mode="json")}],
            "checkpoint_seconds": 0.5,
            "close_idle_by_clock": False,
            "device": "cpu",
            "session_timeout_seconds": 6,
            "http": {"port": 0},
            "model": {"wait_seconds": 30},
            "log": {"format": "json"},
            **changes,
        }


class AgentProcess:
    """An agent as its own process."""

    def __init__(self, bench: Bench, folder: Path, **changes: Any) -> None:
        self.log_file = folder / f"agent-{time.monotonic_ns()}.log"
        config = folder / f"agent-{time.monotonic_ns()}.json"
        config.write_text(json.dumps(bench.settings(**changes)))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("FUSIONLOG_")}
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(config)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            sys.stderr.write(self.log[-6_000:])  # pytest shows it beside the failure
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    @property
    def log(self) -> str:
        """What it has logged."""
        return self.log_file.read_text("utf-8", "replace")

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: it stands still and does not know it."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def wait(self) -> int:
        """The exit code, once it ends by itself."""
        return self._process.wait(PATIENCE_SECONDS)

    def wait_for_log(self, text: str) -> None:
        """Wait until something is logged."""

        def found() -> bool:
            assert text in self.log or self.running, f"agent has ended: {self.log[-3000:]}"
            return text in self.log

        wait_until(found, f"log line {text!r}")

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a probe."""
        self.wait_for_log("probes are served")
        port = next(json.loads(line)["port"] for line in self.log.splitlines() if "probes are served" in line)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def independent_sessions(
    messages: Sequence[Message], idle_ms: int, pattern: str = r"\border=(\S+)"
) -> dict[tuple[int, str, int], list[int]]:
    """(partition, key, first offset) → offsets of each session, cut without any code of the project.

    A session of a key ends where the time between two of its lines, in offset order, is above `idle_ms`.
    """
    sessions: dict[tuple[int, str, int], list[int]] = {}
    current: dict[tuple[int, str], tuple[tuple[int, str, int], int]] = {}
    for message in sorted(messages, key=lambda one: (one.partition(), one.offset())):
        found = re.search(pattern, (message.value() or b"").decode("utf-8", "replace"))
        if found is None:
            continue
        place, time_ms = (message.partition(), found[1]), message.timestamp()[1]
        name, newest_ms = current.get(place, (None, 0))
        if name is None or time_ms - newest_ms > idle_ms:
            name, newest_ms = (*place, message.offset()), time_ms
            sessions[name] = []
        sessions[name].append(message.offset())
        current[place] = (name, max(newest_ms, time_ms))
    return sessions
