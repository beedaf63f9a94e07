"""Keeps the settings inside the chart's `values.schema.json` equal to what agent and trainer accept.

    python deploy/tools/values_schema.py  # rewrites the generated definitions; a test compares them

The chart's own values are written by hand; the definitions below `GENERATED` come from the pydantic models, so that a
wrong setting is refused by `helm install` and not by a pod that never starts.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "deploy/helm/fusionlog/values.schema.json"
SET_BY_CHART_AGENT = ("kafka", "topic_prefix", "systems", "http")
SET_BY_CHART_TRAINER = ("kafka", "topic_prefix", "store", "work_dir")
GENERATED = "settings."  # prefix of generated definitions


def generated_definitions() -> dict[str, Any]:
    """The definitions for `agentSystem`, `agentSettings`, `trainerSettings` and all that they refer to."""
    from agent.settings import AgentSettings
    from trainer.settings import TrainerSettings

    agent, agent_parts = _object(AgentSettings)
    trainer, trainer_parts = _object(TrainerSettings)
    system = agent["properties"]["systems"]["items"]
    for name in SET_BY_CHART_AGENT:
        agent["properties"].pop(name)
    for name in SET_BY_CHART_TRAINER:
        trainer["properties"].pop(name)
    trainer["properties"]["target"] = _reference("TargetSettings")
    # The chart fills in the target's system, and takes secrets from Secrets alone.
    trainer_parts[GENERATED + "TargetSettings"]["properties"].pop("spec")
    trainer_parts[GENERATED + "TargetSettings"].pop("required", None)
    for name in ("api_key", "api_key_file"):
        trainer_parts[GENERATED + "OpenAISettings"]["properties"].pop(name)
    agent.pop("required", None)
    trainer.pop("required", None)
    unlike = [name for name in agent_parts.keys() & trainer_parts.keys() if agent_parts[name] != trainer_parts[name]]
    assert not unlike, f"two settings models share the name {unlike}"
    roots = {"agentSystem": system, "agentSettings": agent, "trainerSettings": trainer}
    return {**roots, **_reachable(roots, agent_parts | trainer_parts)}


def render(schema: dict[str, Any]) -> str:
    """The file's text with the generated definitions put in."""
    fresh = generated_definitions()
    kept = {
        name: definition
        for name, definition in schema["$defs"].items()
        if not name.startswith(GENERATED) and name not in fresh
    }
    return json.dumps({**schema, "$defs": {**kept, **fresh}}, indent=2) + "\n"


def _object(model: type[BaseModel]) -> tuple[dict[str, Any], dict[str, Any]]:
    schema = _renamed(model.model_json_schema())
    parts = {GENERATED + name: part for name, part in schema.pop("$defs", {}).items()}
    return schema, parts


def _renamed(node: Any) -> Any:
    """The schema with its references under our names, without titles, texts, and defaults (those are the models')."""
    if isinstance(node, list):
        return [_renamed(item) for item in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            result[key] = {name: _renamed(part) for name, part in value.items()}
        elif key == "$ref":
            result |= _reference(value.rsplit("/", 1)[-1])
        elif key not in ("title", "description", "default", "format"):
            result[key] = _renamed(value)
    return result


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{GENERATED}{name}"}


def _reachable(roots: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    text = json.dumps(roots)
    while new := [name for name in parts if name not in wanted and f'"#/$defs/{name}"' in text]:
        for name in new:
            wanted[name] = parts[name]
            text += json.dumps(parts[name])
    return dict(sorted(wanted.items()))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    SCHEMA.write_text(render(json.loads(SCHEMA.read_text(encoding="utf-8"))), encoding="utf-8")
