"""Corpora of real logs, and how labels get, or do not get, into them."""

import dataclasses
import json
import lzma
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fusionlog.settings.load import load_settings
from trainer.data.corpus import read_corpus
from trainer.data.signatures import Corpus
from trainer.data.sources import open_source, open_target
from trainer.settings import TrainerSettings

pytestmark = pytest.mark.shared

BGL = {"name": "bgl", "layout": "loghub-bgl", "window": {"kind": "tumbling", "size_seconds": 60}}
HDFS = {"name": "hdfs", "layout": "loghub-hdfs", "window": {"kind": "session", "idle_seconds": 86_400}}


def settings(**values: Any) -> TrainerSettings:
    """Settings of a run."""
    return load_settings(TrainerSettings, None, {"target": {"path": "unused"}} | values, {})


@pytest.fixture(scope="module")
def bgl_lines(shared_data: Path) -> list[bytes]:
    """The first 50,000 lines of BGL with their labels."""
    with lzma.open(shared_data / "bgl" / "bgl_100k.log.xz") as file:
        return [next(file) for _ in range(50_000)]


def target_corpus(path: Path, lines: Sequence[bytes]) -> tuple[Corpus, bytes]:
    """The corpus of these lines as a target file, as bytes."""
    path.write_bytes(b"".join(lines))
    corpus, templates = read_corpus(open_target(settings(target={"path": str(path), "spec": BGL})))
    return corpus, json.dumps([dataclasses.asdict(corpus), [one.text for one in templates]]).encode()


def test_bgl_is_cut_by_node_and_minute(tmp_path: Path, bgl_lines: list[bytes]) -> None:
    """As a source: windows and anomalous windows are those that a plain count over the lines gives."""
    path = tmp_path / "bgl.log"
    path.write_bytes(b"".join(bgl_lines))
    corpus, templates = read_corpus(open_source(settings(source={"path": str(path), "spec": BGL})))
    lines: dict[tuple[str, int], int] = {}
    anomalous = set()
    for line in bgl_lines:
        label, seconds, _, node, *_ = line.decode("utf-8", "replace").split(" ")
        window = (node, int(seconds) // 60)
        lines[window] = lines.get(window, 0) + 1
        if label != "-":
            anomalous.add(window)
    assert max(lines.values()) <= 512
    assert corpus.windows == len(lines)
    assert sum((one.label or 0.0) * one.windows for one in corpus.signatures) == pytest.approx(len(anomalous))
    assert corpus.unreadable_lines == 0
    assert sum(one.windows * sum(one.counts().values()) for one in corpus.signatures) == corpus.lines
    assert set(corpus.texts) <= {template.id for template in templates}


def test_permuted_bgl_labels_give_the_same_target(tmp_path: Path, bgl_lines: list[bytes]) -> None:
    """Labels shuffled among a target's lines, or stripped, leave the corpus byte-identical, and no label is in it."""
    some = bgl_lines[:20_000]
    labels = [line.split(b" ", 1)[0] for line in some]
    random.Random(5).shuffle(labels)
    bare = [line.split(b" ", 1)[1] for line in some]
    shuffled = [label + b" " + rest for label, rest in zip(labels, bare, strict=True)]
    assert shuffled != some
    path = tmp_path / "bgl.log"
    corpus, original = target_corpus(path, some)
    assert target_corpus(path, shuffled)[1] == original
    assert target_corpus(path, bare)[1] == original
    assert {one.label for one in corpus.signatures} == {None}
    names = {label.decode() for label in labels} - {"-"}
    assert names
    assert not names & {word for text in corpus.texts.values() for word in text.split()}


def test_hdfs_blocks_are_sessions(shared_data: Path) -> None:
    """The 110 whole blocks of HDFS_5k are 110 windows, 10 of them anomalous by the published labels."""
    source = {
        "path": str(shared_data / "hdfs" / "HDFS_5k.log.xz"),
        "spec": HDFS,
        "labels": str(shared_data / "hdfs" / "hdfs_block_sequences.csv.xz"),
    }
    corpus, _ = read_corpus(open_source(settings(source=source)))
    assert corpus.windows == 110
    assert corpus.lines == 4_519
    assert sum((one.label or 0.0) * one.windows for one in corpus.signatures) == pytest.approx(10)
    assert sum(one.windows * sum(one.counts().values()) for one in corpus.signatures) >= 4_519
