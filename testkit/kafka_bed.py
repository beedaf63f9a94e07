"""The Kafka bed: one raw topic with fusionlog's topics on a broker, a model to serve, and agents as processes."""

import itertools
import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import Message

from broker.admin import ensure_topics
from broker.producer import write_all
from broker.registry.artifacts import save_artifact
from broker.registry.kafka_store import KafkaStore
from broker.registry.records import write_record
from broker.settings import KafkaSettings
from detector.testing import SYSTEM
from schemas.chunks import cut
from schemas.model_record import ModelAlias, ModelPointer
from schemas.topics import Topics
from testkit.checker import Evidence
from testkit.evidence import read_evidence
from testkit.kafka_io import Committed, Kafka, Row
from testkit.lines import Place
from testkit.processes import ManagedProcess, fusionlog_command, import_path

HTTP_SECONDS = 10.0
LOG_CHARACTERS = 6_000
_numbers = itertools.count()


class KafkaBed:
    """Topics of one test on a broker, and what tests do with them.

    Args:
        servers: address of the broker, or settings for a secured one.
        name: part of every topic's name and of the group's.
        partitions: of the raw topic.
        raw_config: broker settings of the raw topic.
    """

    def __init__(
        self,
        servers: str | KafkaSettings,
        name: str,
        partitions: int = 2,
        raw_config: Mapping[str, str] | None = None,
    ) -> None:
        self.io = Kafka(servers)
        self.kafka = self.io.settings
        self.topics = Topics(f"t-{name}")
        self.raw = f"raw-{name}"
        self.group = f"group-{name}"
        ensure_topics(
            self.kafka, self.topics, {self.raw: partitions}, raw_config={"retention.ms": "-1", **(raw_config or {})}
        )

    def produce(self, rows: Iterable[tuple[int, bytes | None, int]]) -> list[Place]:
        """Write (partition, value, time stamp in ms) records to the raw topic and wait for their acknowledgements."""
        return self.io.produce(self.raw, (Row(*row) for row in rows))

    def read(self, topic: str) -> list[Message]:
        """Every record of a topic."""
        return self.io.read(topic)

    def records(self, topic: str) -> list[Any]:
        """Every record of a topic, as JSON."""
        return self.io.read_json(topic)

    def ends(self) -> dict[int, int]:
        """End of the raw topic's partitions."""
        return self.io.ends(self.raw)

    def committed(self) -> dict[int, Committed]:
        """Committed offset and metadata of the raw topic's partitions; offset -1 where there is none."""
        return self.io.committed(self.group, self.raw)

    def commit(self, positions: Mapping[int, tuple[int, str]]) -> None:
        """Set committed offsets and metadata."""
        self.io.commit(self.group, self.raw, positions)

    def all_committed(self) -> bool:
        """Whether the committed positions have reached the ends."""
        return {number: one.offset for number, one in self.committed().items()} == self.ends()

    def evidence(self) -> Evidence:
        """What the checker judges."""
        return read_evidence(self.io, self.topics, self.raw, self.group)

    def publish(self, files: Mapping[str, bytes], version: int, *, corrupt: bool = False) -> str:
        """Publish an artifact as champion; a corrupt one has a tensor file whose bits differ from its hash."""
        store = KafkaStore(self.kafka, self.topics.model_chunks)
        if corrupt:
            tensors = files["model.safetensors"]
            flipped = bytes([tensors[0] ^ 1]) + tensors[1:]
            for (key, _), (_, chunk) in zip(cut(tensors), cut(flipped), strict=True):
                write_all(self.kafka, [(self.topics.model_chunks, key.encode(), chunk)])
            sha256 = [store.put(files[name]) for name in ("templates.json", "manifest.json")][-1]
        else:
            sha256 = save_artifact(store, files)
        system = SYSTEM.name
        pointer = ModelPointer(
            system=system, version=version, sha256=sha256, epoch=2 * version, store="kafka://", created_ms=1,
            labeller="heuristic", size_bytes=1,
        )  # fmt: skip
        alias = ModelAlias(
            system=system, version=version, sha256=sha256, alias="champion", epoch=2 * version + 1, moved_ms=1
        )
        write_record(self.kafka, self.topics, pointer)
        write_record(self.kafka, self.topics, alias)
        return sha256

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Settings of an agent on this bed."""
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


class AgentProcess(ManagedProcess):
    """`fusionlog agent` on a bed; it is killed when its context is left.

    Args:
        bed: its topics and settings.
        folder: where its settings and its log lie.
        changes: settings that differ from the bed's.
    """

    def __init__(self, bed: KafkaBed, folder: Path, **changes: Any) -> None:
        number = next(_numbers)
        config = folder / f"agent-{number}.json"
        config.write_text(json.dumps(bed.settings(**changes)))
        super().__init__(
            fusionlog_command("agent", "--config", str(config)),
            folder / f"agent-{number}.log",
            name=f"agent {number}",
            environment={**import_path(), "OMP_NUM_THREADS": "1"},
            stop_signal=signal.SIGKILL,
            orphan_signal=signal.SIGKILL,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            sys.stderr.write(self.log[-LOG_CHARACTERS:])  # pytest shows it beside the failure
        super().__exit__(kind, error, trace)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        return self.stop(signal.SIGTERM)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a probe."""
        self.wait_for_log("probes are served")
        port = next(json.loads(line)["port"] for line in self.log.splitlines() if "probes are served" in line)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=HTTP_SECONDS) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
