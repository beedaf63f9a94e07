"""The settings files that the demo writes for the trainer and the agent, as a user would write them."""

from pathlib import Path
from typing import Any

import yaml

from broker.settings import KafkaSettings
from detector.system import SystemSpec
from fusionlog.demo.generator import DemoData
from schemas.topics import Topics

SOURCE_FILE = "source.jsonl"
CHECKPOINT_SECONDS = 2.0


def write_trainer(
    folder: Path, kafka: KafkaSettings, topics: Topics, data: DemoData, history_topic: str, seed: int
) -> Path:
    """Settings of the training run."""
    return _write(
        folder / "train.yaml",
        {
            "kafka": {"bootstrap_servers": kafka.bootstrap_servers},
            "topic_prefix": topics.prefix,
            "store": "kafka://",
            "source": {"path": str(folder / SOURCE_FILE), "spec": _spec(data.source_spec)},
            "target": {"path": f"kafka://{history_topic}", "spec": _spec(data.target_spec)},
            "seed": seed,
            "work_dir": str(folder / "work"),
        },
    )


def write_agent(folder: Path, kafka: KafkaSettings, topics: Topics, data: DemoData, live_topic: str, port: int) -> Path:
    """Settings of the agent. Only event time closes windows, not the clock, so that a run can be repeated."""
    return _write(
        folder / "agent.yaml",
        {
            "kafka": {"bootstrap_servers": kafka.bootstrap_servers},
            "topic_prefix": topics.prefix,
            "group": f"{topics.prefix}-agent",
            "systems": [{"topics": [live_topic], "spec": _spec(data.target_spec)}],
            "start": "earliest",
            "checkpoint_seconds": CHECKPOINT_SECONDS,
            "close_idle_by_clock": False,
            "device": "cpu",
            "http": {"host": "127.0.0.1", "port": port},
            "log": {"format": "json", "level": "info"},
        },
    )


def _spec(spec: SystemSpec) -> dict[str, Any]:
    return dict(spec.model_dump(mode="json", exclude_defaults=True))


def _write(path: Path, settings: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path
