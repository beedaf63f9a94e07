from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from loggen.engine import Service, SimulatedLine, Traffic, rng_of, simulate, spread
from loggen.systems.faults import Break
from loggen.workflow import Background, Change, Fault, LogStatement, Repeat, Workflow, chain


def service(**fields: Any) -> Service:
    """A small service; `fields` replace its parts."""
    body = chain(
        LogStatement("open", "opened"),
        Repeat(1, 3, LogStatement("work", "worked {n:1-9}")),
        LogStatement("close", "closed"),
    )
    settings: dict[str, Any] = {
        "name": "test",
        "key": "k-{hex:8}",
        "hosts": ("h1", "h2"),
        "layout": lambda stamp: f"{stamp.time_ms} {stamp.host} {stamp.key or '-'} {stamp.text}",
        "workflows": (Workflow(body),),
        "faults": (Fault("burst", "words", Break(("work",), LogStatement("x", "burst"))),),
    }
    return Service(**(settings | fields))


def traffic(sessions: int = 200, **fields: Any) -> Traffic:
    """Traffic of a session a second, ten of which fail."""
    settings: dict[str, Any] = {
        "sessions": sessions,
        "start_ms": 1_000_000,
        "sessions_per_minute": 60.0,
        "failures": {"burst": 10},
    }
    return Traffic(**(settings | fields))


def test_the_same_seed_gives_the_same_lines() -> None:
    """A simulation is a function of its random numbers."""
    first, again = (simulate(service(), traffic(), rng_of(3, "a")) for _ in range(2))
    assert first == again
    assert first != simulate(service(), traffic(), rng_of(4, "a"))
    assert first != simulate(service(), traffic(), rng_of(3, "b"))


def test_exactly_the_wanted_sessions_fail_and_show_it() -> None:
    """The truth agrees with what the lines show."""
    lines = simulate(service(), traffic(), rng_of(1, "a"))
    truth = {line.session: line.failure for line in lines}
    assert Counter(truth.values()) == {"": 190, "burst": 10}
    assert {line.session for line in lines if "burst" in line.text} == {key for key, kind in truth.items() if kind}


def test_sessions_interleave_and_each_keeps_its_order() -> None:
    """Neighbouring lines mostly belong to different sessions, while each session begins and ends as it must."""
    lines = simulate(service(), traffic(failures={}), rng_of(1, "a"))
    neighbors = sum(one.session != two.session for one, two in pairwise(lines))
    assert neighbors > len(lines) / 4
    sessions: dict[str, list[SimulatedLine]] = {}
    for line in lines:
        sessions.setdefault(line.session, []).append(line)
    assert all(own[0].text.endswith("opened") and own[-1].text.endswith("closed") for own in sessions.values())
    assert all(one.time_ms < two.time_ms for own in sessions.values() for one, two in pairwise(own))


def test_the_lines_of_different_hosts_are_not_quite_in_order_of_time() -> None:
    """Shippers have their delays, so times step back now and then, by less than a second."""
    lines = simulate(service(), traffic(), rng_of(1, "a"))
    steps = [two.time_ms - one.time_ms for one, two in pairwise(lines)]
    assert min(steps) < 0
    assert min(steps) > -1000


def test_decoys_and_noise_come_in_sound_sessions_at_their_rate() -> None:
    """A harmless line with a share of 0.2 is in about a fifth of the sessions and never opens one."""
    noisy = service(decoys=((LogStatement("decoy", "error counter is 0"), 0.2),))
    lines = simulate(noisy, traffic(1000, failures={}), rng_of(1, "a"))
    decoyed = {line.session for line in lines if "error counter" in line.text}
    assert 150 < len(decoyed) < 250
    first: dict[str, str] = {}
    for line in lines:
        first.setdefault(line.session, line.text)
    assert all(text.endswith("opened") for text in first.values())


def test_background_lines_have_no_session() -> None:
    """What the service writes meanwhile carries no key and no failure."""
    busy = service(background=(Background(LogStatement("beat", "alive"), 30.0),))
    beats = [line for line in simulate(busy, traffic(), rng_of(1, "a")) if line.text.endswith("alive")]
    assert len(beats) > 50
    assert all(line.session == "" and line.failure == "" and " - " in line.text for line in beats)


def test_a_new_version_serves_only_later_sessions() -> None:
    """Before the roll-out no text changes; after it, about the wanted share does."""
    changing = service(change=Change({"open": "unlocked"}))
    lines = simulate(changing, traffic(1000, failures={}, change_at=0.5, changed_share=0.6), rng_of(1, "a"))
    opened = [line.text.split()[-1] for line in lines if line.text.endswith(("opened", "unlocked"))]
    assert "unlocked" not in opened[:490]
    assert 250 < opened[510:].count("unlocked") < 350


def test_an_unknown_failure_kind_is_refused() -> None:
    """A kind that the service does not have is an error that names those it has."""
    with pytest.raises(ValueError, match=r"failure kinds must be of \['burst'\], got \['flood'\]"):
        simulate(service(), traffic(failures={"flood": 1}), rng_of(1, "a"))


def test_more_failures_than_sessions_are_refused() -> None:
    """A plan that cannot be kept is refused."""
    with pytest.raises(ValueError, match="at most 5, got 10"):
        simulate(service(), traffic(5), rng_of(1, "a"))


def test_a_fault_that_fits_nowhere_is_refused() -> None:
    """A fault whose step no workflow has does not pass as a sound session."""
    broken = service(faults=(Fault("burst", "words", Break(("nowhere",), LogStatement("x", "burst"))),))
    with pytest.raises(ValueError, match="got burst that fits none"):
        simulate(broken, traffic(), rng_of(1, "a"))


def test_failures_are_spread_unevenly_but_none_goes_without() -> None:
    """The sum is kept and every kind gets its minimum."""
    counts = spread(100, ["a", "b", "c"], 12, rng_of(1, "test"))
    assert sum(counts.values()) == 100
    assert min(counts.values()) >= 12
    assert len(set(counts.values())) > 1
