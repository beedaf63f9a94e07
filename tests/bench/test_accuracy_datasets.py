import lzma
from pathlib import Path

import numpy as np
import pytest

from bench.accuracy.data import datasets
from bench.accuracy.data.raw_lines import bgl_raw
from bench.accuracy.task import pool_corpus
from bench.errors import BenchError, MisuseError
from tests.bench.tiny_system import tiny_folder


def test_a_folder_is_read_whatever_the_order_of_its_columns(tmp_path: Path) -> None:
    """Templates are found by column names, sequences may be packed, further columns are passed over."""
    tiny_folder(tmp_path / "My Shop")
    plain = tmp_path / "My Shop" / "shop_sequences.csv"
    plain.with_suffix(".csv.xz").write_bytes(lzma.compress(plain.read_bytes()))
    plain.unlink()

    labelled = datasets.folder(tmp_path / "My Shop")

    windows = labelled.windows
    assert windows.system == "my-shop"
    assert len(windows.row) == len(labelled.anomalous) == 194
    assert labelled.anomalous.sum() == 18
    assert windows.book is not None
    assert "item <*> picked" in windows.texts.values()


def test_the_kind_of_windows_is_guessed_unless_given(tmp_path: Path) -> None:
    """Windows that repeat each other's counts are sessions; with few repeats they are windows of time."""
    folder = tiny_folder(tmp_path / "shop")
    assert datasets.folder(folder).windows.spec.window.kind == "session"
    assert datasets.folder(folder, "tumbling").windows.spec.window.kind == "tumbling"
    (folder / "llm_labels.jsonl").unlink()
    rows = [f"0,{' '.join(['10'] * number)}\n" for number in range(1, 50)]
    (folder / "shop_sequences.csv").write_text("label,sequence\n" + "".join(rows))

    windows = datasets.folder(folder).windows

    assert windows.spec.window.kind == "tumbling"
    assert windows.view == "set"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("shop_sequences.csv", "label,events\n0,1\n", "columns label and sequence"),
        ("shop_sequences.csv", "label,sequence\nmaybe,10\n", "label 0 or 1"),
        ("shop_sequences.csv", "label,sequence\n0,\n", "label 0 or 1"),
        ("shop_templates.csv", "id,words\n10,text\n", "column template"),
    ],
)
def test_wrong_content_is_named(name: str, content: str, message: str, tmp_path: Path) -> None:
    """A file with the wrong content is named with what it must hold."""
    (tiny_folder(tmp_path / "shop") / name).write_text(content)

    with pytest.raises(BenchError, match=message):
        datasets.folder(tmp_path / "shop")


def test_an_event_without_a_template_is_named_by_its_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told on standard error, and its id stands in the place of its text."""
    (tiny_folder(tmp_path / "shop") / "shop_sequences.csv").write_text("label,sequence\nnormal,10 99\nAnomaly,10\n")

    labelled = datasets.folder(tmp_path / "shop")

    assert "event 99" in labelled.windows.texts.values()
    assert labelled.anomalous.tolist() == [False, True]
    assert "no template for 1 events (99)" in capsys.readouterr().err


def test_two_files_of_sequences_are_misuse(tmp_path: Path) -> None:
    """Which of several files is meant is not guessed."""
    (tiny_folder(tmp_path / "shop") / "other_sequences.csv").write_text("")

    with pytest.raises(MisuseError, match="other_sequences"):
        datasets.folder(tmp_path / "shop")


def test_the_corpus_of_a_pool_holds_its_windows_and_no_label(tmp_path: Path) -> None:
    """Distinct windows with their numbers, texts of the pool's events alone, every label None."""
    windows = datasets.folder(tiny_folder(tmp_path / "shop")).windows
    first = np.zeros(len(windows.row), np.bool_)
    first[:40] = True

    corpus = pool_corpus(windows, windows.counts_of(first))

    assert corpus.windows == 40
    assert all(signature.label is None for signature in corpus.signatures)
    assert set(corpus.texts) == {event for signature in corpus.signatures for event in signature.counts()}


def test_a_source_has_the_share_of_anomalies_of_each_window(tmp_path: Path) -> None:
    """Labels of a source are shares per distinct window."""
    labelled = datasets.folder(tiny_folder(tmp_path / "shop"))

    corpus = datasets.source_corpus(labelled)

    anomalous = sum(signature.windows * float(signature.label or 0.0) for signature in corpus.signatures)
    assert anomalous == pytest.approx(labelled.anomalous.sum())


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "windows", "anomalous", "signatures"),
    [("hdfs", 575_059, 16_838, 551), ("bgl", 18_000, 7_000, 958), ("openstack", 5_596, 651, 141)],
)
def test_real_systems_are_read_whole(
    name: str, windows: int, anomalous: int, signatures: int, shared_data: Path
) -> None:
    """Every window is there, and every signature has a recorded answer."""
    labelled = datasets.named(shared_data, name)

    assert (len(labelled.windows.row), int(labelled.anomalous.sum())) == (windows, anomalous)
    assert labelled.windows.clusters.max() + 1 == signatures
    book = labelled.windows.book
    assert book is not None
    assert all(book.answer(events) is not None for events in labelled.windows.published)


@pytest.mark.shared
def test_windows_of_raw_lines_are_those_of_the_reader(shared_data: Path) -> None:
    """All lines are in windows of a half each; both halves hold anomalies; every window has a recorded answer."""
    labelled = bgl_raw(shared_data)
    windows = labelled.windows
    assert windows.history is not None
    assert int(windows.counts.sum(axis=1)[windows.row].sum()) == 100_000
    assert labelled.anomalous[windows.history].any()
    assert labelled.anomalous[~windows.history].any()
    book = windows.book
    assert book is not None
    assert all(book.answer(events) is not None for events in windows.published)
