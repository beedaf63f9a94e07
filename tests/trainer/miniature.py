"""A small made-up system for tests of labelling and training: orders with a fixed course, and a few failures."""

from itertools import groupby
from random import Random

from trainer.data.signatures import Corpus, Signature, signature_id

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


def runs_of(events):
    """Run-length code of event ids."""
    return tuple((event, len(list(group))) for event, group in groupby(events))


def corpus(windows, system="shop", texts=TEXTS, labels=None):
    """A corpus of windows given as lists of event ids, with the truth as labels where given."""
    rows = {}
    for number, events in enumerate(windows):
        row = rows.setdefault(runs_of(events), [0, 0, []])
        row[0] += 1
        row[1] += bool(labels and labels[number])
        row[2].append(f"{system}-{number}")
    signatures = [
        Signature(signature_id(runs), runs, count, tuple(ids[:64]), bad / count if labels else None)
        for runs, (count, bad, ids) in rows.items()
    ]
    return Corpus(system, texts, signatures, sum(map(len, windows)))


def course(dice):
    """A usual order, with noise."""
    events = ["recv", "check"] + ["pick", "scan"] * dice.randint(1, 3) + ["pack", "ship", "close"]
    for event, share in (("note", 0.2), ("scare", 0.3)):
        if dice.random() < share:
            events.insert(dice.randint(1, len(events)), event)
    return events


def spoilt(kind, dice):
    """An order that fails in the given way."""
    events = course(dice)
    if kind == "missing":
        return [event for event in events if event != "check"]
    if kind == "order":
        swap = {"pack": "ship", "ship": "pack"}
        return [swap.get(event, event) for event in events]
    if kind == "burst":
        return [*events[:2], *["pick", "scan"] * 20, *events[2:]]
    return [*events[:3], "gone"]


KINDS = ("missing", "order", "burst", "words")


def history(seed=0, count=500, failing=6):
    """Windows and the kind of failure of each ("" for none): `failing` of every kind."""
    dice = Random(seed)
    kinds = [kind for kind in KINDS for _ in range(failing)] + [""] * (count - failing * len(KINDS))
    dice.shuffle(kinds)
    return [spoilt(kind, dice) if kind else course(dice) for kind in kinds], kinds
