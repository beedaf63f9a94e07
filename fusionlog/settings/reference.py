"""Generates the settings reference: `python -m fusionlog.settings.reference > docs/configuration.md`."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from agent.settings import AgentSettings
from detector.settings import RowOf
from fusionlog.render.console import emit
from fusionlog.settings.one_line_errors import models_in
from trainer.settings import TrainerSettings

INTRODUCTION = """# Configuration

`fusionlog agent` and `fusionlog train` each read one YAML file (`--config FILE`), then the environment, then options;
the later wins. A key in the environment is `FUSIONLOG_` and the key in capitals, two underscores for each level:
`FUSIONLOG_KAFKA__BOOTSTRAP_SERVERS`. A value there that begins with `[` or `{` is read as YAML. Unknown keys are
refused wherever they stand. `fusionlog agent --config FILE --check` only checks.

This page is made from the settings themselves (`python -m fusionlog.settings.reference`); a test holds it to them.
"""


def reference() -> str:
    """The page, as Markdown."""
    lines = [INTRODUCTION]
    for title, model in (("Agent", AgentSettings), ("Trainer", TrainerSettings)):
        lines += [f"## {title}", "", "| key | default | allowed | meaning |", "|---|---|---|---|"]
        lines += [f"| `{key}` | {default} | {allowed} | {meaning} |" for key, default, allowed, meaning in _rows(model)]
        lines.append("")
    return "\n".join(lines)


def _rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner = next(iter(models_in(field.annotation)), None)
        if inner is not None:
            listed = str(field.annotation).startswith("tuple")
            yield from _rows(inner, f"{key}[]." if listed else f"{key}.")
            continue
        yield key, _default(field), _allowed(field.annotation, field.metadata), (field.description or "").strip()


def _default(field: Any) -> str:
    if field.is_required():
        return "*required*"
    if field.default_factory is not None:
        return "*depends*"
    if field.default is PydanticUndefined or field.default is None:
        return ""
    if isinstance(field.default, tuple):
        return f"`[{', '.join(map(str, field.default))}]`"
    text = str(field.default)
    return f"`{text.lower() if isinstance(field.default, bool) else text}`"


def _allowed(annotation: Any, metadata: list[Any]) -> str:
    bounds = [
        f"{sign} {getattr(rule, name)}"
        for rule in metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(rule, name, None) is not None
    ]
    rows = next((rule.table for rule in metadata if isinstance(rule, RowOf)), None)
    named = _type(annotation) if rows is None else ", ".join(f"`{name}`" for name in rows)
    return ", ".join([named, *bounds])


_NAMES = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true, false",
    "Path": "path",
    "SecretStr": "secret text",
    "NoneType": "nothing",
}


def _type(annotation: Any) -> str:
    arguments = get_args(annotation)
    if not arguments:
        name: str = annotation.__name__
        return _NAMES.get(name, name)
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if get_origin(annotation) is tuple:
        return f"list of {_type(arguments[0])}"
    if get_origin(annotation) is Annotated:
        return _type(arguments[0])
    return " or ".join(dict.fromkeys(_type(argument) for argument in arguments))


if __name__ == "__main__":
    emit(reference())
