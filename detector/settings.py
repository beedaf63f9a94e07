"""What the settings models of a system are built from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticKnownError, core_schema


class Frozen(BaseModel):
    """Settings that cannot change and refuse unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class RowOf:
    """Marks a text that must be the name of a row of a table; JSON schema and error name the rows there are."""

    table: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """The text's schema and then the look-up."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The text's JSON schema with the rows as an enumeration."""
        return {"enum": list(self.table), **handler(schema)}

    def _checked(self, name: str) -> str:
        if name not in self.table:
            *others, last = (repr(row) for row in self.table)
            expected = f"{', '.join(others)} or {last}" if others else last
            raise PydanticKnownError("literal_error", {"expected": expected})
        return name


def checked_pattern(pattern: str) -> str:
    """The pattern, if it compiles.

    Raises:
        ValueError: it does not.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"must be a regular expression, got {pattern!r}: {error}") from error
    return pattern
