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


def template_id(text: str) -> str:
    """16 hex digits of the SHA-256 of a template's text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Template:
    """A constant text with `<MASK>` words, and `<*>` for any one token; `id` is `template_id(text)`."""

    id: str
    text: str

    @classmethod
    def of(cls, text: str) -> "Template":
        """The template of a text."""
        return cls(template_id(text), text)


class _Shape:
    """Templates of one length with constants at the same positions, found by one dictionary look-up."""

    __slots__ = ("by_constants", "constants_at", "pick")

    def __init__(self, constants_at: tuple[int, ...]) -> None:
        self.constants_at = constants_at
        self.by_constants: dict[Tokens, Template] = {}
        self.pick: Callable[[list[str]], Tokens] = _picker(constants_at)

    def add(self, tokens: list[str], template: Template) -> None:
        self.by_constants[self.pick(tokens)] = template

    def match(self, tokens: list[str]) -> Template | None:
        return self.by_constants.get(self.pick(tokens))


class TemplateMatcher:
    """Finds the template that a masked line belongs to.

    Of several that fit, the one with most constant tokens wins; of those, the one whose text sorts first. The cost of
    a match grows with the number of distinct wildcard positions at the line's length, not with that of templates.
    """

    def __init__(self, templates: Iterable[Template]) -> None:
        self._exact: dict[str, Template] = {}
        self._shapes: dict[int, list[_Shape]] = {}
        shapes: dict[tuple[int, tuple[int, ...]], _Shape] = {}
        for template in sorted(templates, key=lambda one: (one.text, one.id), reverse=True):
            tokens = template.text.split()
            constants_at = tuple(index for index, token in enumerate(tokens) if token != WILDCARD)
            if len(constants_at) == len(tokens):
                self._exact[" ".join(tokens)] = template
                continue
            form = (len(tokens), constants_at)
            if form not in shapes:
                shapes[form] = _Shape(constants_at)
                self._shapes.setdefault(len(tokens), []).append(shapes[form])
            shapes[form].add(tokens, template)
        for group in self._shapes.values():
            group.sort(key=lambda shape: (-len(shape.constants_at), shape.constants_at))

    def match(self, masked: str) -> Template | None:
        """The template of a masked line, or None; the line's tokens stand one space apart (`Masker.mask`)."""
        exact = self._exact.get(masked)
        if exact is not None:
            return exact
        tokens = masked.split()
        best: Template | None = None
        best_constants = -1
        for shape in self._shapes.get(len(tokens), ()):
            if len(shape.constants_at) < best_constants:
                break
            found = shape.match(tokens)
            if found is not None and (best is None or found.text < best.text):
                best, best_constants = found, len(shape.constants_at)
        return best


def _picker(positions: tuple[int, ...]) -> Callable[[list[str]], Tokens]:
    if not positions:
        return lambda _: ()
    if len(positions) == 1:
        only = positions[0]
        return lambda tokens: (tokens[only],)
    return itemgetter(*positions)
