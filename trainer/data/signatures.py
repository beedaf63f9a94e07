"""The trainer's view of a corpus: one row per distinct window, never one per line (docs/method.md#signatures)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from detector.model.runs import Runs, counts_of


def signature_id(runs: Runs) -> str:
    """16 hex digits that name a run-length sequence."""
    return hashlib.sha256(";".join(f"{event_id}*{run}" for event_id, run in runs).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Signature:
    """A distinct run-length sequence of a corpus.

    Attributes:
        id: 16 hex digits, hash of `runs`.
        runs: the sequence.
        windows: number of windows of the corpus with this sequence.
        example_window_ids: ids of its first windows, at most 64.
        label: source corpora only: share of its windows that are anomalous, 0.0 to 1.0; None for a target, always.
    """

    id: str
    runs: Runs
    windows: int
    example_window_ids: tuple[str, ...] = ()
    label: float | None = None

    def counts(self) -> dict[str, int]:
        """Number of lines of each event."""
        return counts_of(self.runs)


@dataclass(frozen=True)
class Corpus:
    """All windows of one system, reduced to distinct sequences.

    Attributes:
        system: name of the system.
        texts: template (or masked line, for lines that matched none) of every event id in the signatures.
        signatures: distinct sequences, sorted by id where lines were read, so that training does not depend on the
            order in which partitions come.
        lines, unreadable_lines, keyless_lines: lines read, lines skipped as unreadable, and lines in no window since
            they name no key.
        offset_ranges: `<topic>/<partition>` → first and last offset read.
        last_time_ms: event time of the last line read, 0 where lines have none.
        days: time that the lines span, 0 where they have none; a few wrong times do not change it.
    """

    system: str
    texts: Mapping[str, str]
    signatures: Sequence[Signature]
    lines: int
    unreadable_lines: int = 0
    offset_ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    last_time_ms: int = 0
    days: float = 0.0
    keyless_lines: int = 0

    @property
    def windows(self) -> int:
        """Number of windows, duplicates counted."""
        return sum(signature.windows for signature in self.signatures)

    def windows_of_events(self) -> dict[str, int]:
        """Number of windows that hold each event."""
        held: dict[str, int] = {}
        for signature in self.signatures:
            for event in signature.counts():
                held[event] = held.get(event, 0) + signature.windows
        return held


@dataclass(frozen=True)
class LabelGroup:
    """Signatures that get one label together: equal under the finest view that fits the labelling budget.

    Attributes:
        id: 16 hex digits.
        view: `sequence`, `counts8`, `counts3` or `set`.
        members: indices into `Corpus.signatures`, most frequent first.
        windows: windows of all members.
    """

    id: str
    view: str
    members: tuple[int, ...]
    windows: int
