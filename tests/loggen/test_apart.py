import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from random import Random

import pytest

from loggen.demo.media import media
from loggen.demo.payments import payments
from loggen.engine import Layout, Service, rng_of
from loggen.systems.broker import broker
from loggen.systems.orders import orders
from loggen.systems.scheduler import scheduler
from loggen.systems.storage import storage
from loggen.workflow import Change, Fault, LogStatement
from trainer.data.starter import SYSTEMS

TRAINING: tuple[Callable[[Random, Layout], Service], ...] = (broker, orders, scheduler, storage)
JUDGING: tuple[Callable[[Random], Service], ...] = (media, payments)
SEEDS = range(60)  # every choice of words and of fault kinds comes up


def _parts(thing: object) -> Iterator[object]:
    """The thing and all that it is made of."""
    yield thing
    if is_dataclass(thing):
        for field in fields(thing):
            yield from _parts(getattr(thing, field.name))
    elif isinstance(thing, Mapping):
        for value in thing.values():
            yield from _parts(value)
    elif isinstance(thing, tuple | list):
        for value in thing:
            yield from _parts(value)


def _normal(text: str) -> str:
    """The constant words of a line, without what varies."""
    return " ".join(re.sub(r"\{[^}]*\}|\d+", "*", text.lower()).split())


def _texts(service: Service) -> set[str]:
    """The lines of a service: of its workflows, its faults, its next version and everything beside them."""
    texts = set()
    for part in _parts(service):
        if isinstance(part, LogStatement):
            texts.add(_normal(part.text))
        elif isinstance(part, Change):
            texts |= {_normal(text) for text in part.rename.values()}
    return texts


@pytest.fixture(scope="module")
def training() -> list[Service]:
    """The starter systems in many vocabularies."""
    return [system(rng_of(seed, "apart"), lambda stamp: stamp.text) for system in TRAINING for seed in SEEDS]


@pytest.fixture(scope="module")
def judging() -> list[Service]:
    """The demo's systems in many vocabularies."""
    return [system(rng_of(seed, "apart")) for system in JUDGING for seed in SEEDS]


def _faults(services: list[Service]) -> list[Fault]:
    return [fault for service in services for fault in service.faults]


def test_the_starter_source_holds_the_systems_compared_here() -> None:
    """A starter system that this file does not know would not be compared."""
    assert set(SYSTEMS) == set(TRAINING)


def test_no_line_is_shared(training: list[Service], judging: list[Service]) -> None:
    """What judges writes no line that what trains writes."""
    known = set[str]().union(*map(_texts, training))
    seen = set[str]().union(*map(_texts, judging))
    assert len(known) > 100
    assert len(seen) > 100
    assert not known & seen


def test_symptoms_are_among_the_lines(training: list[Service], judging: list[Service]) -> None:
    """The comparison reaches the lines inside faults and new versions."""
    for services, symptom in ((training, "write abandoned, replica discarded"), (judging, "transaction rolled back")):
        assert any(symptom in _texts(service) for service in services)
    assert any("admission score * by planner two" in _texts(service) for service in judging)


def test_no_kind_of_fault_is_shared(training: list[Service], judging: list[Service]) -> None:
    """Kinds of failure differ in name and in what they do to a session."""
    known, seen = _faults(training), _faults(judging)
    assert not {fault.kind for fault in known} & {fault.kind for fault in seen}
    assert not {type(fault.edit) for fault in known} & {type(fault.edit) for fault in seen}


def test_no_fault_of_the_demo_does_what_a_fault_of_a_starter_system_does(
    training: list[Service], judging: list[Service]
) -> None:
    """The code that changes a session is not a copy under another name."""
    known, seen = (
        {type(fault.edit).__call__.__code__.co_code for fault in _faults(services)} for services in (training, judging)
    )
    assert not known & seen
