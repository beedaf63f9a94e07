"""P1: windows cut from the raw lines of BGL by the reader that agent and trainer use.

Templates are learned from the lines before the cut alone, and each part is read apart, so no window spans the cut.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.accuracy.data.windows import LabelledWindows, Windows
from bench.datasets import SPECS, read_lines, read_rows
from bench.recorded import AnswerBook, signature_of
from detector.model.runs import Runs, run_lengths
from detector.parsing.templates import TemplateMatcher
from detector.partition_reader import InputRecord, PartitionReader, SystemReader
from detector.system import SystemSpec
from trainer.data.lines import Line
from trainer.data.template_sample import learn_templates

_TOPIC = "bgl_100k"


def bgl_raw(data: Path) -> LabelledWindows:
    """The first half of the lines as history, the second as the part to judge."""
    raw = read_lines(data / "bgl" / "bgl_100k.log.xz")
    alarming = np.array([not line.startswith(b"- ") for line in raw])
    lines = [line.split(b" ", 1)[1] for line in raw]  # without the label field
    events = [row["event_id"] for row in read_rows(data / "bgl" / "bgl_100k_structured.csv.xz")]
    answers = data / "llm_labels" / "bgl_raw.jsonl"
    book = AnswerBook.read(answers)
    spec = SystemSpec.model_validate(SPECS["bgl"])
    half = len(lines) // 2
    history = [Line(line, -1, _TOPIC, 0, number) for number, line in enumerate(lines[:half])]
    matcher = TemplateMatcher(learn_templates(history, spec))
    texts: dict[str, str] = {}
    number: dict[tuple[Runs, object], int] = {}
    published: list[tuple[str, ...]] = []
    row, anomalous, before = [], [], []
    for first, last in ((0, half), (half, len(lines))):
        for window_events, offsets in _windows(lines, first, last, spec, matcher, texts):
            names = tuple(events[offset] for offset in offsets)
            key = (run_lengths(window_events), signature_of(names, book.view))
            if key not in number:
                number[key] = len(number)
                published.append(names)
            row.append(number[key])
            anomalous.append(bool(alarming[list(offsets)].any()))
            before.append(first == 0)
    windows = Windows(
        system="bgl",
        spec=spec,
        texts=texts,
        runs=[runs for runs, _ in number],
        published=published,
        row=np.array(row, np.int64),
        view=book.view,
        book=book,
        history=np.array(before, np.bool_),
        fingerprint=hashlib.sha256(b"\n".join(raw) + answers.read_bytes()).hexdigest()[:16],
    )
    return LabelledWindows(windows, np.array(anomalous, np.bool_))


def _windows(
    lines: Sequence[bytes], first: int, last: int, spec: SystemSpec, matcher: TemplateMatcher, texts: dict[str, str]
) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Event ids and line numbers of each window; `texts` gets the text of every event."""
    reader = PartitionReader(SystemReader(spec, matcher, carry_times=True), _TOPIC, 0)
    batch = reader.read([InputRecord(number, lines[number]) for number in range(first, last)])
    texts.update((read.event.id, read.event.text) for read in batch.lines)
    return [(tuple(window.event_ids), tuple(window.offsets)) for window in [*batch.closed, *reader.flush()]]
