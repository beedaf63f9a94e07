"""Topics, training and detection by the deployment files: their commands, arguments and environment, on real Kafka."""

import json
import re
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from detector.system import SystemSpec
from fusionlog.demo.systems import MEDIA_SPEC as SPEC
from schemas.topics import Topics
from testkit.kafka_io import Kafka
from testkit.local_kafka import LocalKafka
from testkit.processes import free_port
from tests.deploy.conftest import ROOT, Render
from tests.deploy.workload import Workload, from_pod, from_service

STEP_SECONDS = 120.0
TRAIN_SECONDS = 480.0
SYSTEM = SPEC.model_dump(mode="json", exclude_defaults=True)
RAW = "logs.media"


@dataclass(frozen=True)
class Deployment:
    """The workloads of one kind of deployment, with the addresses that replace its network."""

    topics: Workload
    history: Workload
    trainer: Workload
    agent: Workload
    generator: Workload
    agent_port: int
    names: Topics
    raw: str
    servers: str


@pytest.fixture(params=["helm", pytest.param("compose", marks=pytest.mark.slow)])
def deployment(request: pytest.FixtureRequest, kafka: str, tmp_path: Path) -> Iterator[Deployment]:
    """Chart and compose file in turn."""
    if request.param == "helm":
        yield helm_deployment(request.getfixturevalue("render"), kafka, tmp_path)
    else:
        # The compose file's topics have the names that any test may use, so it gets a broker of its own.
        with LocalKafka() as broker:
            yield compose_deployment(broker.bootstrap_servers, tmp_path)


def helm_deployment(render: Render, servers: str, folder: Path) -> Deployment:
    """The chart's pods; a user's values make the training small. Lines come from the compose file's generator."""
    unique = uuid.uuid4().hex[:6]
    raw, port = f"{RAW}.{unique}", free_port()
    manifests = render(
        "minimal",
        {
            "topicPrefix": f"helm-{unique}",
            "topics": {"raw": [f"{raw}:3"], "partitions": 3},
            "systems": [{"topics": [raw], "spec": SYSTEM}],
            "agent": {"settings": {"checkpoint_seconds": 1, "device": "cpu"}},
            "trainer": {
                "trainings": [
                    {"system": SPEC.name, "settings": {"meta_steps": 20, "final_steps": 60, "hidden": 16, "rounds": 1}}
                ]
            },
        },
    )
    config_maps = {found["metadata"]["name"]: found["data"] for found in manifests if found["kind"] == "ConfigMap"}
    kinds = {found["kind"]: found.get("spec", {}) for found in manifests}
    local = {"kafka:9092": servers, "port: 8080": f"port: {port}"}

    def workload(pod: Mapping[str, Any], name: str) -> Workload:
        (folder / name).mkdir()
        return from_pod(pod["template"]["spec"], config_maps, folder / name, local)

    compose = compose_deployment(servers, folder, raw=raw)
    return Deployment(
        topics=workload(kinds["Job"], "topics"),
        history=compose.history,
        trainer=workload(kinds["CronJob"]["jobTemplate"]["spec"], "trainer"),
        agent=workload(kinds["Deployment"], "agent"),
        generator=compose.generator,
        agent_port=port,
        names=Topics(f"helm-{unique}"),
        raw=raw,
        servers=servers,
    )


def compose_deployment(servers: str, folder: Path, raw: str = RAW) -> Deployment:
    """The services of docker-compose.yml with the image's entrypoint, which is read from the Dockerfile."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
    entrypoint = json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", dockerfile, re.MULTILINE)[-1])
    port = free_port()
    local = {"kafka:9092": servers, "port: 8080": f"port: {port}", RAW: raw}

    def workload(name: str) -> Workload:
        (folder / f"compose-{name}").mkdir()
        return from_service(services[name], entrypoint, ROOT, folder / f"compose-{name}", local)

    workloads = {name: workload(name) for name in ("topics", "history", "trainer", "agent", "generator")}
    # The steps are fewer than the file's, which take twice as long and do the same.
    quick = {"FUSIONLOG_META_STEPS": "20", "FUSIONLOG_FINAL_STEPS": "60"}
    trainer = workloads["trainer"]
    workloads["trainer"] = trainer._replace(environment={**trainer.environment, **quick})
    return Deployment(**workloads, agent_port=port, names=Topics(), raw=raw, servers=servers)


def ready(port: int) -> bool:
    """Whether the agent is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.kafka
@pytest.mark.ray
def test_what_is_deployed_does_the_main_job(deployment: Deployment) -> None:
    """Topics are made, a model is trained and published, and the agent serves it: windows scored by version 1."""
    deployment.topics.run(STEP_SECONDS)
    kafka = Kafka(deployment.servers)
    partitions = {spec.name: len(kafka.ends(spec.name)) for spec in deployment.names.specs()}
    assert partitions[deployment.names.state] >= len(kafka.ends(deployment.raw)) > 1

    deployment.history.run(STEP_SECONDS)
    deployment.trainer.run(TRAIN_SECONDS)

    with deployment.agent.start() as agent:
        agent.wait_until(lambda: ready(deployment.agent_port), "answer on /ready", STEP_SECONDS)
        with deployment.generator.start() as generator:
            windows = agent.wait_until(lambda: kafka.read_json(deployment.names.windows), "scored window", STEP_SECONDS)
            alerts = agent.wait_until(lambda: kafka.read_json(deployment.names.alerts), "alert", STEP_SECONDS)
            generator.check()
        assert agent.stop() == 0, agent.log
    assert {window["model"]["version"] for window in windows} == {1}
    assert {alert["data"]["model"]["version"] for alert in alerts} == {1}


def test_the_compose_file_watches_what_its_generator_writes() -> None:
    """Agent and trainer of the compose file read the generated system by the generator's own description."""
    agent, trainer = (
        yaml.safe_load((ROOT / f"deploy/docker/{name}.yaml").read_text(encoding="utf-8"))
        for name in ("agent", "trainer")
    )
    (system,) = agent["systems"]
    assert SystemSpec.model_validate(system["spec"]) == SystemSpec.model_validate(trainer["target"]["spec"]) == SPEC
    assert trainer["target"]["path"] == f"kafka://{system['topics'][0]}"
