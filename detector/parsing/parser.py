"""From a line to its event: mask, then match against the model's frozen templates."""

from dataclasses import dataclass

from detector.parsing.masking import Masker
from detector.parsing.templates import TemplateMatcher, template_id

MAX_CACHED = 50_000


@dataclass(frozen=True, slots=True)
class Event:
    """What kind of line it is.

    Attributes:
        id: id of the template, or of the masked line where none fits.
        text: text of the template, or the masked line.
        novel: whether no frozen template fits.
    """

    id: str
    text: str
    novel: bool


class LineParser:
    """Maps lines to events; a function of (line, model) alone, so its cache can be dropped at any time."""

    def __init__(self, masker: Masker, matcher: TemplateMatcher) -> None:
        self._masker = masker
        self._matcher = matcher
        self._events: dict[str, Event] = {}

    def event(self, text: str) -> Event:
        """The event of a line's text."""
        masked = self._masker.mask(text)
        event = self._events.get(masked)
        if event is None:
            template = self._matcher.match(masked)
            if template is None:
                event = Event(template_id(masked), masked, novel=True)
            else:
                event = Event(template.id, template.text, novel=False)
            if len(self._events) >= MAX_CACHED:
                self._events.clear()
            self._events[masked] = event
        return event
