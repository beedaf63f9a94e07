"""The setting of an extra mask."""

from pydantic import Field, field_validator

from detector.settings import Frozen, checked_pattern


class MaskRule(Frozen):
    """An extra mask: what matches `pattern` becomes `<NAME>`."""

    name: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,31}$", description="what stands for it: <NAME>")
    pattern: str = Field(min_length=1, max_length=500, description="regular expression of what is masked")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return checked_pattern(pattern)
