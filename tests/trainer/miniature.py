"""A small synthetic system for tests of labelling and training: orders with a fixed course, and a few failures."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from random import Random

from trainer.data.signatures import Corpus, Runs, Signature, signature_id

TEXTS = {
    "recv": "order <NUM> received",
    "check": "address checked",
    "pick": "item <NUM> picked",
    "scan": "item <NUM> scanned",
    "pack": "parcel packed",
    "ship": "parcel handed to carrier",
    "close": "order closed",
    "note": "cache refreshed in <NUM> ms",
    "scare": "self test done: 0 errors",
    "gone": "carrier refused connection",
}


def runs_of(events: Iterable[str]) -> Runs:
    """Run-length code of event ids."""
    return tuple((event, len(list(group))) for event, group in groupby(events))


def corpus(
    windows: Sequence[Sequence[str]],
    system: str = "shop",
    texts: Mapping[str, str] = TEXTS,
    labels: Sequence[bool] | None = None,
) -> Corpus:
    """A corpus of windows given as lists of event ids, with the truth as labels where given."""
    members: dict[Runs, list[int]] = {}
    for number, events in enumerate(windows):
        members.setdefault(runs_of(events), []).append(number)
    signatures = [
        Signature(
            id=signature_id(runs),
            runs=runs,
            windows=len(numbers),
            example_window_ids=tuple(f"{system}-{number}" for number in numbers[:64]),
            label=sum(labels[number] for number in numbers) / len(numbers) if labels else None,
        )
        for runs, numbers in members.items()
    ]
    return Corpus(system, texts, signatures, sum(map(len, windows)))


def course(rng: Random) -> list[str]:
    """A usual order, with noise."""
    events = ["recv", "check"] + ["pick", "scan"] * rng.randint(1, 3) + ["pack", "ship", "close"]
    for event, share in (("note", 0.2), ("scare", 0.3)):
        if rng.random() < share:
            events.insert(rng.randint(1, len(events)), event)
    return events


def spoilt(kind: str, rng: Random) -> list[str]:
    """An order that fails in the given way."""
    events = course(rng)
    if kind == "missing":
        return [event for event in events if event != "check"]
    if kind == "order":
        swap = {"pack": "ship", "ship": "pack"}
        return [swap.get(event, event) for event in events]
    if kind == "burst":
        return [*events[:2], *["pick", "scan"] * 20, *events[2:]]
    return [*events[:3], "gone"]


KINDS = ("missing", "order", "burst", "words")


def history(seed: int = 0, count: int = 500, failing: int = 6) -> tuple[list[list[str]], list[str]]:
    """Windows and the kind of failure of each ("" for none): `failing` of every kind."""
    rng = Random(seed)
    kinds = [kind for kind in KINDS for _ in range(failing)] + [""] * (count - failing * len(KINDS))
    rng.shuffle(kinds)
    return [spoilt(kind, rng) if kind else course(rng) for kind in kinds], kinds
