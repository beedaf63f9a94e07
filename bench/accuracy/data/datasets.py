"""Where windows come from: the systems in `../shared/data`, any folder of the same form, and our generated source."""

import csv
import hashlib
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from bench.accuracy.data.windows import LabelledWindows, labelled_windows
from bench.datasets import content_of
from bench.errors import BenchError, MisuseError
from bench.recorded import AnswerBook
from trainer.data.corpus import read_corpus
from trainer.data.signatures import Corpus, Signature, signature_id
from trainer.data.sources import Source
from trainer.settings import system_name

SYSTEMS = ("hdfs", "bgl", "openstack")
STARTER = "starter"
_FILES = {
    "hdfs": ("hdfs/hdfs_sequences.csv.xz", "hdfs/hdfs_templates.csv"),
    "bgl": ("bgl/bgl_windows.csv.xz", "bgl/bgl_templates.csv"),
    "openstack": ("openstack/openstack_sequences.csv.xz", "openstack/openstack_templates.csv"),
}
_KINDS = {"hdfs": "session", "bgl": "tumbling", "openstack": "session"}
_ONLY = {"openstack": ("source", "parisakalaki")}  # Loghub's part of the file is not separable by sequence
_NORMAL, _ANOMALOUS = ("0", "0.0", "false", "normal", "-"), ("1", "1.0", "true", "anomalous", "anomaly", "abnormal")
_LABELS = dict.fromkeys(_NORMAL, False) | dict.fromkeys(_ANOMALOUS, True)
_ID_COLUMNS = ("event_id", "eventid", "id", "event")
_TEXT_COLUMNS = ("template", "event_template", "eventtemplate", "text")
_LONGEST_FIELD = 2**31 - 1
_READABLE = "a file of windows or templates must be readable"


def named(data: Path, name: str, kind: str | None = None) -> LabelledWindows:
    """A system of the data folder."""
    sequences, templates = (data / file for file in _FILES[name])
    answers = data / "llm_labels" / f"{name}.jsonl"
    return _read(name, sequences, templates, answers, kind or _KINDS[name], _ONLY.get(name))


def folder(path: Path, kind: str | None = None, name: str | None = None) -> LabelledWindows:
    """A system in a folder: `*sequences.csv[.xz]`, `*templates.csv`, and `llm_labels.jsonl` where it is there.

    Raises:
        MisuseError: the folder or one of its files is absent, or there are several.
        BenchError: a file has the wrong content.
    """
    sequences = _only_file(path, ("*sequences.csv", "*sequences.csv.xz"))
    templates = _only_file(path, ("*templates.csv", "*templates.csv.xz"))
    return _read(name or folder_name(path), sequences, templates, path / "llm_labels.jsonl", kind, None)


def folder_name(path: Path) -> str:
    """Name of the system in a folder."""
    return system_name(path.resolve().name)


def source_corpus(labelled: LabelledWindows, name: str | None = None) -> Corpus:
    """A labelled system as the trainer reads its source: distinct windows with their share of anomalies."""
    windows = labelled.windows
    total = windows.counts_of(np.ones(len(windows.row), np.bool_))
    anomalous = windows.counts_of(labelled.anomalous)
    signatures = [
        Signature(signature_id(runs), runs, int(total[row]), (), float(anomalous[row] / total[row]))
        for row, runs in enumerate(windows.runs)
        if total[row] and runs
    ]
    return Corpus(name or windows.system, windows.texts, signatures, int((total @ windows.counts.sum(axis=1)).item()))


def starter_corpus(seed: int) -> Corpus:
    """The generated source that fusionlog ships, read by the trainer itself."""
    from trainer.data import starter

    corpus, _ = read_corpus(Source(starter.SPEC, lambda: starter.starter_source(seed)), seed=seed)
    return corpus


def corpus_of(data: Path, name: str, seed: int) -> Corpus:
    """The labelled source of a name."""
    return starter_corpus(seed) if name == STARTER else source_corpus(named(data, name))


def _read(
    name: str, sequences: Path, templates: Path, answers: Path, kind: str | None, only: tuple[str, str] | None
) -> LabelledWindows:
    texts = read_templates(templates)
    content = content_of(sequences, _READABLE)
    book = AnswerBook.read(answers) if answers.is_file() else None
    digest = hashlib.sha256(content + templates.read_bytes() + (answers.read_bytes() if book else b""))
    rows = list(_sequences(content, sequences, only))
    _name_absent(texts, {sequence for sequence, _ in rows}, templates)
    return labelled_windows(name, rows, texts, kind, book, digest.hexdigest()[:16])


def read_templates(path: Path) -> dict[str, str]:
    """Event id → text; columns are found by name, in any order.

    Raises:
        BenchError: the file is absent or lacks a column.
    """
    rows = list(csv.DictReader(io.StringIO(content_of(path, _READABLE).decode("utf-8-sig"))))
    names = {name.lower(): name for name in (rows[0] if rows else {})}
    event = next((names[name] for name in _ID_COLUMNS if name in names), None)
    text = next((names[name] for name in _TEXT_COLUMNS if name in names), None)
    if event is None or text is None:
        raise BenchError(
            f"{path} must have a column event_id and a column template, got {', '.join(names) or 'nothing'}"
        )
    return {row[event].strip(): row[text] for row in rows}


def _name_absent(texts: dict[str, str], sequences: Iterable[str], path: Path) -> None:
    """Give events that have no template their id as text, and say so."""
    absent = sorted({event for sequence in sequences for event in sequence.split()} - texts.keys())
    if absent:
        shown = ", ".join(absent[:5])
        print(f"{path} has no template for {len(absent)} events ({shown}): their ids stand for them", file=sys.stderr)
        texts.update((event, f"event {event}") for event in absent)


def _sequences(content: bytes, path: Path, only: tuple[str, str] | None) -> Iterator[tuple[str, bool]]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    if not {"label", "sequence"} <= set(reader.fieldnames or ()):
        raise BenchError(f"{path} must have columns label and sequence, got {reader.fieldnames}")
    for number, row in enumerate(reader, start=2):
        if only is not None and row[only[0]] != only[1]:
            continue
        label, sequence = _LABELS.get(row["label"].strip().lower()), row["sequence"]
        if label is None or not sequence.strip():
            raise BenchError(f"{path}:{number} must hold label 0 or 1 and a sequence, got {str(row)[:200]}")
        yield sequence, label


def _only_file(path: Path, patterns: tuple[str, ...]) -> Path:
    if not path.is_dir():
        raise MisuseError(f"a data folder must be there, got {path}, which is not a folder")
    found = sorted({file for pattern in patterns for file in path.glob(pattern)})
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise MisuseError(f"{path} must hold one file {patterns[0]} (or .xz), got {names}")
    return found[0]
