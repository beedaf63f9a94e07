"""The catalogue of templates that agents learn."""

from agent.stages.catalogue import TemplateCatalogue
from detector.parsing.parser import Event
from detector.parsing.templates import template_id


def event(text: str) -> Event:
    """A novel event."""
    return Event(template_id(text), text, True)


def test_templates_are_published_once_and_known_after_a_restart() -> None:
    """The same line teaches once; a catalogue loaded from the records learns nothing from what they hold."""
    catalogue = TemplateCatalogue("s")
    record = catalogue.learn(event("disk <NUM> is full"), "raw", 0, 7, 1)
    assert record is not None
    assert (record.text, record.offset, record.replaces) == ("disk <NUM> is full", 7, "")
    assert catalogue.learn(event("disk <NUM> is full"), "raw", 0, 8, 1) is None
    other = TemplateCatalogue("s")
    other.load([record])
    assert other.learn(event("disk <NUM> is full"), "raw", 0, 9, 1) is None
    assert len(other) == 1


def test_a_wider_template_names_the_one_it_replaces() -> None:
    """When Drain widens a template, the new record names the old one."""
    catalogue = TemplateCatalogue("s")
    first = catalogue.learn(event("volume alpha attached to host one"), "raw", 0, 0, 1)
    wider = catalogue.learn(event("volume alpha attached to host two"), "raw", 0, 1, 1)
    assert first is not None
    assert wider is not None
    assert (wider.text, wider.replaces) == ("volume alpha attached to host <*>", first.id)


def test_a_flood_of_templates_stops_at_the_bound() -> None:
    """Beyond the bound nothing is learned or published, whatever comes."""
    catalogue = TemplateCatalogue("s", max_templates=5)
    found = [
        catalogue.learn(event(" ".join([f"w{number}"] * (number + 1))), "raw", 0, number, 1) for number in range(50)
    ]
    assert sum(record is not None for record in found) == 5
    assert len(catalogue) == 5
