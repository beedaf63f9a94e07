"""Options that several commands share, and the Kafka settings that result from them."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict

from broker.settings import KafkaSettings
from fusionlog.settings.load import load_settings
from schemas.topics import Topics

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="An agent's or trainer's settings file, for its kafka section.")
]
BootstrapServers = Annotated[str | None, typer.Option(help="Kafka servers, host:port[,host:port].")]
TopicPrefix = Annotated[str | None, typer.Option(help="Prefix of fusionlog's topics (default: fusionlog).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class ConnectionSettings(BaseModel):
    """The Kafka section of any settings file; the other sections belong to the agent or the trainer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kafka: KafkaSettings = KafkaSettings()
    topic_prefix: str = "fusionlog"


def connection(config: Path | None, bootstrap_servers: str | None, prefix: str | None) -> tuple[KafkaSettings, Topics]:
    """Kafka settings and topic names from file, environment and options; the later wins.

    Raises:
        SettingsError: a setting is wrong.
    """
    overrides = {"kafka": {"bootstrap_servers": bootstrap_servers or None}, "topic_prefix": prefix or None}
    settings = load_settings(ConnectionSettings, config, overrides)
    return settings.kafka, Topics(settings.topic_prefix)
