"""What the rendered chart says, against what the programs accept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from pydantic import BaseModel

from agent.settings import AgentSettings
from deploy.tools import values_schema
from fusionlog.settings.load import load_settings
from tests.deploy.conftest import Manifests, Render
from trainer.settings import TrainerSettings

M = TypeVar("M", bound=BaseModel)

VARIANTS = [None, "minimal", "sasl", "external-store"]


def objects(manifests: Manifests, kind: str) -> dict[str, Any]:
    """Objects of a kind, by name."""
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def pods(manifests: Manifests) -> Iterator[tuple[str, Any]]:
    """Every pod spec with its object's kind."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield manifest["kind"], spec["template"]["spec"]


def settings_files(manifests: Manifests) -> dict[str, str]:
    """File name → content, of all ConfigMaps."""
    return {name: text for found in objects(manifests, "ConfigMap").values() for name, text in found["data"].items()}


def load(model: type[M], text: str, tmp_path: Path) -> M:
    """Settings as a pod would read them."""
    path = tmp_path / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(model, path, environ={})


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_programs_accept_the_rendered_settings(render: Render, variant: str | None, tmp_path: Path) -> None:
    """Each settings file of each variant loads, and a model trained by it fits the agent that will serve it."""
    files = settings_files(render(variant))
    agent = load(AgentSettings, files.pop("agent.yaml"), tmp_path)
    load(AgentSettings, files.pop("topics.yaml"), tmp_path)
    watched = {system.spec.name: system for system in agent.systems}
    assert files
    for name, text in files.items():
        trainer = load(TrainerSettings, text, tmp_path)
        system = watched[name.removesuffix(".yaml")]
        assert trainer.target.spec.fingerprint() == system.spec.fingerprint()
        assert trainer.target.topic in system.topics
        assert (trainer.topic_prefix, trainer.kafka.bootstrap_servers) == (
            agent.topic_prefix,
            agent.kafka.bootstrap_servers,
        )


def test_numbers_of_the_values_arrive_as_they_were_written(render: Render, tmp_path: Path) -> None:
    """Helm turns large numbers into floats with an exponent; the settings still get the integer."""
    values = {"agent": {"settings": {"model": {"max_bytes": 134_217_728}, "checkpoint_seconds": 2.5}}}
    agent = load(AgentSettings, settings_files(render("sasl", values))["agent.yaml"], tmp_path)
    assert (agent.model.max_bytes, agent.checkpoint_seconds) == (134_217_728, 2.5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_file_that_settings_name_is_mounted(render: Render, variant: str | None) -> None:
    """Each path below /etc/fusionlog in settings and arguments lies in a volume that brings it."""
    manifests = render(variant)
    files = settings_files(manifests)
    for _, pod in pods(manifests):
        (container,) = pod["containers"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        brought = set()
        for volume in pod["volumes"]:
            for source in [volume, *volume.get("projected", {}).get("sources", [])]:
                for item in (source.get("configMap") or source.get("secret") or {}).get("items", []):
                    brought.add(f"{mounts[volume['name']]}/{item['path']}")
        (config,) = [argument for argument in container["args"] if argument.startswith("/etc/fusionlog")]
        (settings_volume,) = [volume for volume in pod["volumes"] if volume["name"] == "settings"]
        settings = yaml.safe_load(files[settings_volume["configMap"]["items"][0]["key"]])
        named = {config, *(value for key, value in settings["kafka"].items() if key.endswith("_file"))}
        named |= {value for key, value in settings.get("openai", {}).items() if key.endswith("_file")}
        assert named <= brought
        assert set(mounts) == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize(
    ("variant", "agent", "trainer"),
    [
        (None, "fusionlog-agent:0.1.0", "fusionlog-trainer:0.1.0"),
        (
            "sasl",
            "registry.example.com/fusionlog-agent@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "registry.example.com/mirror/trainer:stable",
        ),
    ],
)
def test_each_program_runs_in_its_own_image(render: Render, variant: str | None, agent: str, trainer: str) -> None:
    """The agent and the topics job run in the agent's image, trainings in the trainer's; each can be overridden."""
    images = {kind: pod["containers"][0]["image"] for kind, pod in pods(render(variant))}
    assert images == {"Deployment": agent, "Job": agent, "CronJob": trainer}


def test_each_program_has_its_own_identity(render: Render) -> None:
    """The trainer, which writes models, and the topics job, which creates topics, do not share the agent's user."""
    files = settings_files(render("sasl"))
    users = {name: yaml.safe_load(text)["kafka"]["sasl_username"] for name, text in files.items()}
    assert users == {
        "agent.yaml": "fusionlog-agent",
        "topics.yaml": "fusionlog-topics",
        "orders.yaml": "fusionlog-trainer",
        "bgl.yaml": "fusionlog-trainer",
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_secret_stands_in_the_chart(render: Render, variant: str | None) -> None:
    """Passwords and keys come from Secrets that exist, never from values."""
    manifests = render(variant)
    assert not objects(manifests, "Secret")
    for text in settings_files(manifests).values():
        assert "sasl_password:" not in text
        assert "api_key:" not in text


def test_the_agents_probes_ask_its_own_port(render: Render) -> None:
    """The port of the values is the one that the agent opens, names and is probed at."""
    manifests = render(values={"agent": {"httpPort": 9999}})
    (deployment,) = objects(manifests, "Deployment").values()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    settings = yaml.safe_load(settings_files(manifests)["agent.yaml"])
    assert settings["http"] == {"host": "0.0.0.0", "port": 9999}  # noqa: S104 (inside its pod)
    (port,) = container["ports"]
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert port["containerPort"] == 9999
    assert [(probe["path"], probe["port"]) for probe in probes] == [
        ("/live", port["name"]),
        ("/live", port["name"]),
        ("/ready", port["name"]),
    ]


def test_changed_settings_roll_the_agent_and_make_a_new_topics_job(render: Render) -> None:
    """A pod's checksum follows its settings; the topics job, which cannot be changed, gets a new name."""
    before, after = render(), render(values={"topicPrefix": "other"})
    for kind, key in (("Deployment", "template"), ("CronJob", "jobTemplate")):
        texts = [str(next(iter(objects(found, kind).values()))["spec"][key]) for found in (before, after)]
        assert texts[0] != texts[1]
        assert all("checksum/settings" in text for text in texts)
    assert objects(before, "Job").keys() != objects(after, "Job").keys()
    assert objects(before, "Job").keys() == objects(render(), "Job").keys()


def test_long_names_stay_within_kubernetes_limits(render: Render) -> None:
    """A CronJob's name may have 52 characters, also for a system whose name has 63."""
    names = ["s" * 62 + end for end in "ab"]
    systems = [{"topics": ["a"], "spec": {"name": name}} for name in names]
    trainings = [{"system": name} for name in names]
    manifests = render(values={"systems": systems, "trainer": {"trainings": trainings}, "fullnameOverride": "f" * 60})
    assert len(objects(manifests, "CronJob")) == 2
    assert all(len(name) <= 52 for name in objects(manifests, "CronJob"))


def test_the_values_schema_follows_the_settings() -> None:
    """What `helm install` accepts below the settings is what agent and trainer accept."""
    held = values_schema.SCHEMA.read_text(encoding="utf-8")
    assert held == values_schema.render(json.loads(held)), "run: python deploy/tools/values_schema.py"
