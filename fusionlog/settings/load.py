"""Settings from a YAML file, the environment and the command line, as one frozen pydantic model.

Order, the later wins: defaults of the model, file, environment (`FUSIONLOG_KAFKA__BOOTSTRAP_SERVERS=…`; two
underscores separate levels; values that start with `[` or `{` are YAML), options. Unknown keys are refused everywhere.
Every problem is one `SettingsError` line that names the key, the value, what is allowed and where the value was set.
"""

import os
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from broker.errors import SettingsError
from fusionlog.settings.one_line_errors import one_line

ENVIRONMENT_PREFIX = "FUSIONLOG_"
MAX_FILE_BYTES = 1_048_576
M = TypeVar("M", bound=BaseModel)

# Kubernetes sets these in every pod when a Service's name starts with "fusionlog"; they are not settings.
_SERVICE_LINK = re.compile(r"(^|_)(SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$")


def load_settings(
    model_type: type[M],
    path: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> M:
    """Read and check the settings of one process.

    Args:
        model_type: the settings model.
        path: YAML file, or None for none.
        overrides: nested values of the command line; None and a section without a value count as not given.
        environ: the environment; None reads the process's own.

    Raises:
        SettingsError: the file cannot be read, or a setting is unknown, missing or wrong.
    """
    layers: list[tuple[str, dict[str, Any]]] = []
    if path is not None:
        layers.append((str(path), _read_file(Path(path))))
    known = {field.alias or name for name, field in model_type.model_fields.items()}
    variables = _read_environment(os.environ if environ is None else environ, known)
    layers += [(f"environment variable {name}", values) for name, values in variables]
    layers.append(("command line", _given(overrides or {})))
    merged: dict[str, Any] = {}
    origins: dict[tuple[str, ...], str] = {}
    for origin, values in layers:
        _merge(merged, values, origin, origins, ())
    try:
        return model_type.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(one_line(error, model_type, origins)) from None


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a repeated key is an error and a date stays text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(problem=f"key {key.value!r} twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"--config must be a readable file, got {str(path)!r}: {error.strerror or error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise SettingsError(f"--config must be at most {MAX_FILE_BYTES} bytes, got more in {str(path)!r}")
    try:
        document = _parse(content.decode())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise SettingsError(f"--config must be YAML in UTF-8, got {str(path)!r}: {_yaml_problem(error)}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(f"--config must hold 'key: value' lines, got a {type(document).__name__} in {str(path)!r}")
    return {str(key): value for key, value in document.items()}


def _parse(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)


def _yaml_problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error) or type(error).__name__
    return f"{problem} in line {mark.line + 1}" if mark is not None else " ".join(problem.split())


def _read_environment(environ: Mapping[str, str], known: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if path[0] not in known and _SERVICE_LINK.search(name.removeprefix(ENVIRONMENT_PREFIX)):
            continue
        value: Any = _environment_value(name, environ[name])
        for key in reversed(path):
            value = {key: value}
        yield name, value


def _environment_value(name: str, text: str) -> Any:
    if text.strip() == "null":
        return None
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        return _parse(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SettingsError(
            f"environment variable {name} must be YAML or JSON when it starts with [ or {{: {_yaml_problem(error)}"
        ) from None


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: _given(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    return {key: value for key, value in given.items() if value is not None and value != {}}


def _merge(
    into: dict[str, Any],
    values: Mapping[str, Any],
    origin: str,
    origins: dict[tuple[str, ...], str],
    path: tuple[str, ...],
) -> None:
    """Merge `values` into `into`: mappings key by key; everything else, lists too, is replaced."""
    for key, value in values.items():
        below = (*path, str(key))
        origins[below] = origin
        if isinstance(value, Mapping):
            held = into.get(key)
            into[key] = dict(held) if isinstance(held, Mapping) else {}
            _merge(into[key], value, origin, origins, below)
        else:
            into[key] = value
