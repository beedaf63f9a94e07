"""Settings of the agent: one frozen model, read once at the start."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from broker.settings import KafkaSettings
from detector.settings import Frozen
from detector.system import SystemSpec
from schemas.topics import Topics

TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class SystemSettings(Frozen):
    """A system and the raw topics that its lines come from."""

    topics: tuple[TopicName, ...] = Field(min_length=1, description="raw topics that this system's lines come from")
    spec: SystemSpec


class HttpSettings(Frozen):
    """Where `/metrics`, `/live` and `/ready` are served."""

    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 in a pod")
    port: int = Field(default=8080, ge=0, le=65_535, description="0 = any free port; the chosen one is logged")
    stalled_seconds: float = Field(
        default=300.0, gt=0, description="not live when there is lag and the position did not move for so long"
    )


class ModelSettings(Frozen):
    """Which model serves."""

    alias: str = Field(
        default="champion", pattern=r"^[a-z][a-z0-9-]{0,31}$", description="serve the version this alias names"
    )
    version: int | None = Field(default=None, ge=1, description="serve this version instead of the alias'")
    wait_seconds: float = Field(
        default=30.0, ge=0, description="how long to wait for a first model before the baseline serves"
    )
    max_bytes: int = Field(default=67_108_864, ge=1_024, description="larger artifacts are refused")


class LogSettings(Frozen):
    """How the agent logs; `auto` is `console` on a terminal and `json` elsewhere."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, else json"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="less is not logged")


class AgentSettings(Frozen):
    """All settings of the agent."""

    kafka: KafkaSettings = KafkaSettings()
    topic_prefix: str = Field(
        default="fusionlog", description="of our topics: <prefix>.alerts.v1 and so on; the trainer's must be the same"
    )
    group: str = Field(
        default="fusionlog-agent",
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="consumer group; agents of one group share the partitions",
    )
    instance_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="static membership: a restart keeps partitions",
    )
    cluster: str = Field(
        default="local", pattern=r"^[A-Za-z0-9._-]{1,100}$", description="stands in the alerts' source"
    )
    systems: tuple[SystemSettings, ...] = Field(min_length=1)
    start: Literal["earliest", "latest"] = Field(
        default="earliest", description="where a group without position begins"
    )
    checkpoint_seconds: float = Field(
        default=10.0, ge=0.1, le=3_600, description="between checkpoints; so much is read again after a crash"
    )
    close_idle_by_clock: bool = Field(
        default=True, description="close windows when nothing comes for so long as they may idle; off for replays"
    )
    on_lost_state: Literal["stop", "restart_windows"] = Field(
        default="stop", description="when a snapshot is lost: stop, or go on with the open windows begun anew"
    )
    window_records: Literal["all", "anomalous"] = Field(
        default="all", description="which closed windows are written to the windows topic"
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto, cpu, cuda or cuda:N; auto: a GPU where there is one",
    )
    http: HttpSettings = HttpSettings()
    model: ModelSettings = ModelSettings()
    replay: bool = Field(default=False, description="marks alerts and windows as a replay, which never pages")
    session_timeout_seconds: float = Field(
        default=10.0, ge=6, le=300, description="after which a dead worker is missed"
    )
    shutdown_seconds: float = Field(default=25.0, gt=0, description="bound of the last checkpoint and of stopping")
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        Topics(self.topic_prefix)  # raises on a bad prefix
        for what, found in (
            ("systems.spec.name", [system.spec.name for system in self.systems]),
            ("systems.topics", [topic for system in self.systems for topic in system.topics]),
        ):
            twice = [name for name, count in Counter(found).items() if count > 1]
            if twice:
                raise ValueError(f"{what} must be distinct, got {twice[0]!r} twice")
        return self

    @property
    def topics(self) -> Topics:
        """Names of our topics."""
        return Topics(self.topic_prefix)

    @property
    def raw_topics(self) -> tuple[str, ...]:
        """Every raw topic."""
        return tuple(topic for system in self.systems for topic in system.topics)
