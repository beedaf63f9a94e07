"""All windows of a system as distinct sequences of events, and apart from them their truth."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench.recorded import AnswerBook, signature_of
from detector.model.runs import Runs, run_lengths
from detector.system import SystemSpec, WindowSpec

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_REPEATED = 0.9
"""Share of windows whose event counts occur more than once from which windows are sessions. Measured on the data in
../shared: HDFS 0.9996, OpenStack (Kalaki) 0.987, OpenStack (Loghub) 0.997; windows of a second of BGL 0.80."""


@dataclass(frozen=True)
class Windows:
    """The windows of one system, without any label.

    Attributes:
        system: its name.
        spec: its settings; of the window kind alone where the data are sequences.
        texts: text of every event id in `runs`.
        runs: [n] distinct windows.
        published: [n] the events of each as the data name them, in order; recorded answers are about these.
        row: [w] row of each window in `runs`.
        view: signature by which windows are grouped: `counts8` or `set` (`bench.recorded`).
        book: recorded answers, None where there are none.
        history: [w] whether a window lies before the cut in time; None where the data have no usable times.
        fingerprint: hash of the data.
    """

    system: str
    spec: SystemSpec
    texts: Mapping[str, str]
    runs: Sequence[Runs]
    published: Sequence[tuple[str, ...]]
    row: Ints
    view: str
    book: AnswerBook | None = None
    history: Bools | None = None
    fingerprint: str = ""

    def counts_of(self, chosen: Bools) -> Ints:
        """[n] number of the chosen windows of each row."""
        return np.bincount(self.row[chosen], minlength=len(self.runs)).astype(np.int64)

    @cached_property
    def content_hash(self) -> str:
        """Hash of the data and of all that was made of them: what is cut, learned and grouped depends on code, too."""
        made = (self.fingerprint, self.spec.model_dump_json(), self.view, sorted(self.texts.items()), self.runs)
        return hashlib.sha256(repr((*made, self.published)).encode() + self.row.tobytes()).hexdigest()[:16]

    @cached_property
    def clusters(self) -> Ints:
        """[n] number of each row's signature; signatures are numbered in order of first appearance."""
        return _numbered(signature_of(events, self.view) for events in self.published)

    @cached_property
    def events(self) -> tuple[str, ...]:
        """The event ids, sorted: columns of `counts`."""
        return tuple(sorted({event for runs in self.runs for event, _ in runs}))

    @cached_property
    def counts(self) -> npt.NDArray[np.float32]:
        """[n, E] lines of each event."""
        column = {event: index for index, event in enumerate(self.events)}
        table = np.zeros((len(self.runs), len(column)), np.float32)
        for row, runs in enumerate(self.runs):
            for event, length in runs:
                table[row, column[event]] += length
        return table


@dataclass(frozen=True)
class LabelledWindows:
    """Windows, and which of them are anomalous ([w]); nothing that trains is called with the latter."""

    windows: Windows
    anomalous: Bools


def labelled_windows(
    system: str,
    rows: Iterable[tuple[str, bool]],
    texts: Mapping[str, str],
    kind: str | None = None,
    book: AnswerBook | None = None,
    fingerprint: str = "",
) -> LabelledWindows:
    """Reduce rows of (events separated by spaces, is anomalous) to distinct windows.

    Args:
        system: its name.
        rows: one per window.
        texts: published event id → id and text of its template are made from this.
        kind: of the windows; guessed where it is None.
        book: recorded answers.
        fingerprint: hash of the data.
    """
    number: dict[str, int] = {}
    row, anomalous = [], []
    for sequence, label in rows:
        row.append(number.setdefault(sequence, len(number)))
        anomalous.append(label)
    published = [tuple(sequence.split()) for sequence in number]
    event_id, event_texts = template_ids(texts, {event for events in published for event in events})
    runs = [run_lengths([event_id[event] for event in events]) for events in published]
    index = np.array(row, np.int64)
    kind = kind or guessed_kind(published, index)
    windows = Windows(
        system=system,
        spec=SystemSpec(name=system, window=WindowSpec.model_validate({"kind": kind})),
        texts=event_texts,
        runs=runs,
        published=published,
        row=index,
        view=view_of(kind, book),
        book=book,
        fingerprint=fingerprint,
    )
    return LabelledWindows(windows, np.array(anomalous, np.bool_))


def template_ids(texts: Mapping[str, str], used: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Published event → template id, and template id → text; events with one text become one."""
    from detector.parsing.templates import template_id

    words = {event: " ".join(texts[event].replace("<*>", " <*> ").split()) or "<*>" for event in used}
    ids = {event: template_id(text) for event, text in words.items()}
    return ids, {ids[event]: text for event, text in words.items()}


def view_of(kind: str, book: AnswerBook | None) -> str:
    """The view of the recorded answers; without them counts for sessions, and the set for windows of time."""
    if book is not None:
        return book.view
    return "counts8" if kind == "session" else "set"


def repeated_share(published: Sequence[Sequence[str]], row: Ints) -> float:
    """Share of windows whose events, counted, occur in another window, too."""
    of_row = _numbered(tuple(sorted(Counter(events).items())) for events in published)
    windows = np.bincount(of_row[row])
    return float(windows[windows > 1].sum() / max(1, windows.sum()))


def guessed_kind(published: Sequence[Sequence[str]], row: Ints) -> str:
    """`session` where nearly all windows repeat another one's counts, else `tumbling`."""
    return "session" if repeated_share(published, row) >= _REPEATED else "tumbling"


def _numbered(keys: Iterable[Hashable]) -> Ints:
    """The number of each key; equal keys have one number, in order of first appearance."""
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in keys], np.int64)
