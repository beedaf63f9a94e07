"""Settings of one training run: read once, frozen, unknown keys refused.

The command line reads them with `load_settings(TrainerSettings, path, overrides)`: flags win over the environment, the
environment over the file.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from broker.settings import KafkaSettings
from detector.settings import RowOf
from detector.system import SystemSpec
from schemas.topics import Topics
from trainer.labellers import LABELLERS
from trainer.replay_range import parse_bound

STARTER = "starter"
KAFKA = "kafka://"
_NAME = re.compile(r"[^a-z0-9]+")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class _Input(_Frozen):
    """A file or a topic of log lines.

    Attributes:
        path: a file (raw text or JSON lines; `.gz`, `.xz` or `.bz2` by suffix), or `kafka://<topic>`.
        begin, end: `from` and `to` of a topic: an ISO time, `offset:N`, or `p0=N,p1=M`; `to` itself is left out.
    """

    path: str = Field(min_length=1, description="file (.gz, .xz, .bz2 by suffix) or kafka://<topic>")
    begin: str | None = Field(default=None, alias="from", description="of a topic: ISO time, offset:N or p0=N,p1=M")
    end: str | None = Field(default=None, alias="to", description="the same; itself left out")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("spec"), dict) and "name" not in values["spec"]:
            return values | {"spec": {"name": system_name(str(values.get("path", ""))), **values["spec"]}}
        return values

    @field_validator("path")
    @classmethod
    def _complete(cls, path: str) -> str:
        if path == KAFKA:
            raise ValueError("must be a file or kafka://<topic>, got 'kafka://' without a topic")
        return path

    @field_validator("begin", "end")
    @classmethod
    def _readable(cls, bound: str | None, info: ValidationInfo) -> str | None:
        if bound is not None:
            parse_bound(bound)
            if not str(info.data.get("path", KAFKA)).startswith(KAFKA):
                raise ValueError(f"must be left out unless path is kafka://<topic>, got {bound!r}")
        return bound

    @property
    def topic(self) -> str | None:
        """The topic to replay, or None for a file."""
        return self.path.removeprefix(KAFKA) if self.path.startswith(KAFKA) else None


class TargetSettings(_Input):
    """The system to learn, without labels.

    Attributes:
        spec: the system; its name is taken from `path` where it is left out.
    """

    spec: SystemSpec = Field(default_factory=lambda data: SystemSpec(name=system_name(data["path"])))


class SourceSettings(_Input):
    """The mature system whose labels are known; `path` may be `starter`: labelled logs that fusionlog generates.

    Attributes:
        spec: the system; None for `starter`, which brings its own.
        labels: CSV of labels beside the log: `BlockId,Label` (a label per window key) or `start,end[,key]` (incidents).
            Without it the lines carry their labels: BGL's first field, or a JSON field `label` or `anomalous`.
    """

    path: str = Field(
        default=STARTER,
        min_length=1,
        description="file, kafka://<topic>, or starter: labelled logs that fusionlog makes itself",
    )
    spec: SystemSpec | None = Field(
        default_factory=lambda data: None if data["path"] == STARTER else SystemSpec(name=system_name(data["path"]))
    )
    labels: Path | None = Field(
        default=None,
        description="CSV beside the log: BlockId,Label or start,end[,key]; without it the lines carry labels",
    )

    @model_validator(mode="after")
    def _starter_brings_its_own(self) -> Self:
        if self.path == STARTER and (self.spec is not None or self.labels is not None):
            raise ValueError("spec and labels must be left out when path is 'starter', which brings its own")
        if self.path != STARTER and self.spec is None:
            raise ValueError(f"spec must be given for {self.path!r}, got null")
        return self


class OpenAISettings(_Frozen):
    """An OpenAI-compatible endpoint; log text is sent there, redacted."""

    base_url: str = Field(default="http://localhost:8000/v1", description="of the endpoint, up to /v1")
    model: str = Field(default="qwen-plus", description="name of the model there")
    api_key: SecretStr | None = Field(default=None, description="better given by api_key_file or the environment")
    api_key_file: Path | None = Field(default=None, description="file that holds the key")
    timeout_seconds: float = Field(default=30.0, gt=0, description="bound of one answer")
    concurrency: int = Field(default=8, ge=1, le=256, description="questions asked at once")
    max_tokens_total: int = Field(
        default=2_000_000, ge=1, description="of all runs with this work_dir; labelling stops here, training goes on"
    )
    price_per_million_input_tokens: float = Field(default=0.0, ge=0, description="in any currency")
    price_per_million_output_tokens: float = Field(default=0.0, ge=0, description="in the same currency")
    max_cost_total: float | None = Field(
        default=None, gt=0, description="of all runs with this work_dir, by the two prices; labelling stops here"
    )
    deadline_seconds: float = Field(default=3_600.0, gt=0, description="labelling stops then, training goes on")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError("at most one of api_key and api_key_file must be given, got both")
        return self

    @model_validator(mode="after")
    def _limit_has_prices(self) -> Self:
        prices = self.price_per_million_input_tokens, self.price_per_million_output_tokens
        if self.max_cost_total is not None and not any(prices):
            raise ValueError(
                "price_per_million_input_tokens or price_per_million_output_tokens must be given with max_cost_total, "
                "got neither"
            )
        return self


class RecordedSettings(_Frozen):
    """Answers given before: JSON lines of `window` (a window id), `label` and `confidence`."""

    answers: Path = Field(description="JSON lines of window (a window id), label and confidence")


def _default_work_dir(data: dict[str, Any]) -> Path:
    target = data.get("target")
    return Path(".fusionlog") / (target.spec.name if isinstance(target, TargetSettings) else "system")


class TrainerSettings(_Frozen):
    """One training run."""

    kafka: KafkaSettings = KafkaSettings()
    topic_prefix: str = Field(default="fusionlog", description="of our topics; the agent's must be the same")
    store: str = Field(default=KAFKA, min_length=1, description="kafka://, a folder, or any URL that fsspec opens")
    source: SourceSettings = Field(default_factory=SourceSettings)
    target: TargetSettings
    labeller: Annotated[str, RowOf(LABELLERS)] = Field(
        default="heuristic", description="labels windows as normal or anomalous"
    )
    budget: int = Field(
        default_factory=lambda data: LABELLERS[data["labeller"]].budget,
        ge=16,  # the audit alone asks for so many
        description="answers asked for; 20000 of the heuristic, 1000 of others",
    )
    openai: OpenAISettings = OpenAISettings()
    recorded: RecordedSettings | None = None
    seed: int = Field(default=0, ge=0, lt=2**31, description="equal seeds and inputs give equal models")
    meta_steps: int = Field(default=300, ge=1, le=500, description="steps of meta-learning on the source")
    final_steps: int = Field(
        default=500,
        ge=1,
        le=10_000,
        description="most steps of the last fine-tuning, and of each of the three that judge it",
    )
    hidden: int = Field(default=64, ge=8, le=512, description="width of the small model")
    alerts_per_day: float | None = Field(
        default=None, gt=0, description="sets the threshold so that the history would have raised so many"
    )
    alerts_per_1000_windows: float | None = Field(
        default=None, gt=0, le=1000, description="the same for a history whose lines have no times"
    )
    word_vectors: Path | None = Field(
        default=None,
        description="GloVe text, or .npz with words and vectors; without it vectors are hashed from the words",
    )
    labellers: int = Field(default=2, ge=1, le=64, description="labeller actors; local workers have one labeller")
    rounds: int = Field(default=5, ge=1, le=50, description="of asking and learning")
    sample_lines: int = Field(default=250_000, ge=100, le=5_000_000, description="lines that Drain learns from")
    work_dir: Path = Field(
        default_factory=_default_work_dir,
        description="keeps answers between runs; .fusionlog/<system> where it is left out",
    )
    out: Path | None = Field(default=None, description="folder that the artifact is written to as well")
    publish: bool = Field(default=True, description="put the model on the models topic")
    promote: bool = Field(default=True, description="make it the champion, which agents serve")
    force: bool = Field(
        default=False, description="train, publish and promote although the history cannot carry a model"
    )
    workers: Literal["ray", "local"] = Field(
        default="ray", description="Ray actors, or all in this process; a Ray that fails twice gives way to local ones"
    )
    ray_address: str | None = Field(default=None, description="of a Ray cluster; without it one is started here")

    @field_validator("topic_prefix")
    @classmethod
    def _prefix(cls, prefix: str) -> str:
        Topics(prefix)
        return prefix

    @model_validator(mode="after")
    def _one_budget_of_alerts(self) -> Self:
        if self.alerts_per_day is not None and self.alerts_per_1000_windows is not None:
            raise ValueError("at most one of alerts_per_day and alerts_per_1000_windows must be given, got both")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        needs = LABELLERS[self.labeller].needs
        if needs and getattr(self, needs.partition(".")[0]) is None:
            raise ValueError(f"{needs} must be given when labeller is {self.labeller!r}, got nothing")
        if not self.publish and self.out is None:
            raise ValueError(
                "out (--out FOLDER) must be given when publish is false, else the model would be lost; got nothing"
            )
        return self

    @property
    def topics(self) -> Topics:
        """Names of our topics."""
        return Topics(self.topic_prefix)


def system_name(path: str) -> str:
    """A system's name made from the name of its file or topic: `/logs/My App.log.xz` is `my-app`."""
    stem = path.removeprefix(KAFKA).rstrip("/").rsplit("/", 1)[-1]
    stem = re.sub(r"(\.(log|txt|json|jsonl|ndjson|csv|gz|xz|bz2))+$", "", stem.lower())
    return _NAME.sub("-", stem).strip("-")[:63].strip("-") or "system"
