"""Templates and the frozen matcher of a model (docs/method.md#templates).

A template's identity is its content, so workers, replays and the trainer agree on it. The matcher is a
function of (line, set of templates) alone: neither the order of the templates nor of the lines matters.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter

WILDCARD = "<*>"

Tokens = tuple[str, ...]
_Picker = Callable[[list[str]], Tokens]


def template_id(text: str) -> str:
    """16 hex digits of the SHA-256 of a template's text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def is_wildcards_alone(text: str) -> bool:
    """Whether a text has no word but `<*>`: as a template it would take in every line of its length."""
    return not text.strip(f"{WILDCARD} ")


@dataclass(frozen=True, slots=True)
class Template:
    """A constant text with `<MASK>` words, and `<*>` for any one token; `id` is `template_id(text)`."""

    id: str
    text: str

    @classmethod
    def of(cls, text: str) -> "Template":
        """The template of a text."""
        return cls(template_id(text), text)


class TemplateMatcher:
    """Finds the template that a masked line belongs to.

    Of several that fit, the one with most constant tokens wins; of those, the one whose text sorts first. The cost of
    a match grows with the number of distinct wildcard positions at the line's length, not with that of templates.
    """

    def __init__(self, templates: Iterable[Template]) -> None:
        self._exact: dict[str, Template] = {}
        by_shape: dict[tuple[int, tuple[int, ...]], dict[Tokens, Template]] = {}
        for template in sorted(templates, key=lambda one: (one.text, one.id), reverse=True):
            tokens = template.text.split()
            constants_at = tuple(index for index, token in enumerate(tokens) if token != WILDCARD)
            if len(constants_at) == len(tokens):
                self._exact[" ".join(tokens)] = template
                continue
            shape = by_shape.setdefault((len(tokens), constants_at), {})
            shape[_picker(constants_at)([*tokens, ""])] = template
        # Of each length: how many constants, how they are taken from a line, and the templates by them.
        self._shapes: dict[int, list[tuple[int, _Picker, dict[Tokens, Template]]]] = {}
        for length, constants_at in sorted(by_shape, key=lambda shape: (-len(shape[1]), shape[1])):
            shape = by_shape[length, constants_at]
            self._shapes.setdefault(length, []).append((len(constants_at), _picker(constants_at), shape))

    def match(self, masked: str) -> Template | None:
        """The template of a masked line, or None; the line's tokens stand one space apart (`Masker.mask`)."""
        exact = self._exact.get(masked)
        if exact is not None:
            return exact
        tokens = masked.split()
        shapes = self._shapes.get(len(tokens), ())
        tokens.append("")
        best: Template | None = None
        best_constants = -1
        for constants, pick, templates in shapes:
            if constants < best_constants:
                break
            found = templates.get(pick(tokens))
            if found is not None and (best is None or found.text < best.text):
                best, best_constants = found, constants
        return best


def _picker(positions: tuple[int, ...]) -> _Picker:
    """Takes the tokens at positions; the last one, an empty one, twice, since one position alone gives no tuple."""
    return itemgetter(*positions, -1, -1)
