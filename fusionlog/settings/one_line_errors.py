"""A pydantic error as one line for the operator: the key, its value, where it was set, and what is allowed."""

import difflib
import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

VALUE_CHARACTERS = 100
_ENVIRONMENT = "environment variable "
_PHRASES = {
    "literal_error": "must be one of {expected}",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} character(s)",
    "too_short": "must have at least {min_length} item(s)",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
} | {
    f"{kind}_{fault}": f"must be {wanted}"
    for kind, wanted in (("int", "a whole number"), ("float", "a number"), ("bool", "true or false"))
    for fault in ("type", "parsing", "from_float", "parsing_size")
}
_SECRET = re.compile(r"pass?w|pwd|secret|credential|jaas|api_?key|(^|_)token$", re.IGNORECASE)


def one_line(error: ValidationError, model_type: type[BaseModel], origins: Mapping[tuple[str, ...], str]) -> str:
    """The first problem as one line, which ends with the number of others; `origins` has where each path was set."""
    # Two kinds of problem only follow from another one: a default factory that was not called, and a list that is
    # too short because one of its items is wrong.
    found = error.errors(include_url=False)
    problems = [
        one
        for one in found
        if one["type"] != "default_factory_not_called"
        and not (one["type"] == "too_short" and any(_inside(other["loc"], one["loc"]) for other in found))
    ]
    # A mistyped key is also a missing one: report the unknown key first.
    first = min(problems, key=lambda one: one["type"] != "extra_forbidden")
    origin = _origin(first["loc"], origins)
    line = _describe(first, model_type, origin)
    if origin:
        line += f" (set in {origin})" if origin != "command line" else " (set on the command line)"
    if len(problems) > 1:
        line += f"; {len(problems) - 1} more setting(s) are wrong"
    return " ".join(line.split())


def _inside(location: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(location) > len(outer) and location[: len(outer)] == outer


def _describe(problem: ErrorDetails, model_type: type[BaseModel], origin: str) -> str:
    location = problem["loc"]
    key = ".".join(str(part) for part in location)
    kind, value = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return _unknown_key(location, value, model_type, origin)
    if kind == "missing":
        inside_list = any(isinstance(part, int) for part in location)  # a variable sets a list as a whole
        variable = f"FUSIONLOG_{key.upper().replace('.', '__')} or an option"
        return f"{key} must be given, got nothing" + ("" if inside_list else f": by --config FILE, {variable}")
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        allowed = _allowed_keys(model_type, location)
        return f"{key} must hold keys ({', '.join(allowed)}), got {_shown(location, value)}"
    if kind in _PHRASES:
        return f"{key} {_PHRASES[kind].format(**problem.get('ctx', {}))}, got {_shown(location, value)}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message.replace("Input should be", "must be", 1)
    if not key:
        return message
    separator = " " if message.startswith("must ") else ": "
    got = "" if "got " in message else f", got {_shown(location, value)}"
    return f"{key}{separator}{message[:300]}{got}"


def _unknown_key(location: tuple[int | str, ...], value: Any, model_type: type[BaseModel], origin: str) -> str:
    key = ".".join(str(part) for part in location)
    allowed = _allowed_keys(model_type, location[:-1])
    close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    if origin.startswith(_ENVIRONMENT):
        prefix, _, words = origin.removeprefix(_ENVIRONMENT).partition("_")
        path = _path_of(words.lower().replace("__", "_"), [model_type])
        hint = f"; did you mean {prefix}_{'__'.join(path).upper()}?" if path else hint
    return f"{key} must be a known key ({', '.join(allowed)}), got {_shown(location, value)}{hint}"


def _allowed_keys(model_type: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    models: list[type[BaseModel]] = [model_type]
    for part in location:
        if isinstance(part, int):
            continue
        models = [
            found
            for model in models
            for name, field in model.model_fields.items()
            if part in (name, field.alias)
            for found in models_in(field.annotation)
        ] or models
    return [field.alias or name for model in models for name, field in model.model_fields.items()]


def _path_of(words: str, models: list[type[BaseModel]]) -> tuple[str, ...]:
    """The path of keys that make these words when joined by single underscores; empty where there is none."""
    for model in models:
        for name, field in model.model_fields.items():
            key = field.alias or name
            if words == key:
                return (key,)
            if words.startswith(f"{key}_"):
                rest = _path_of(words.removeprefix(f"{key}_"), models_in(field.annotation))
                if rest:
                    return (key, *rest)
    return ()


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Every model in a type: itself, or inside Optional, a union, a tuple or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def _shown(location: tuple[int | str, ...], value: Any) -> str:
    if any(_SECRET.search(str(part)) for part in location):
        return "a value that is not shown"
    text = repr(_masked(value))
    return text if len(text) <= VALUE_CHARACTERS else text[:VALUE_CHARACTERS] + "…"


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: "***" if _SECRET.search(str(key)) else _masked(held) for key, held in value.items()}
    return [_masked(held) for held in value] if isinstance(value, list) else value


def _origin(location: tuple[int | str, ...], origins: Mapping[tuple[str, ...], str]) -> str:
    path = tuple(map(str, location))
    return next((origins[path[:end]] for end in range(len(path), 0, -1) if path[:end] in origins), "")
