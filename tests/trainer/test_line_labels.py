"""Labels in lines: read from a source, cut out of a target."""

import json
from typing import Any

import pytest

from detector.input.line_reader import LineReader
from detector.system import SystemSpec
from trainer.data.line_labels import label_of, label_reader, label_remover
from trainer.errors import SourceError

PLAIN = SystemSpec(name="plain")
BGL = SystemSpec(name="bgl", layout="loghub-bgl")
REST = b"1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.363779 R02-M1 RAS KERNEL INFO parity error"


@pytest.mark.parametrize(
    ("spec", "value", "label"),
    [
        (BGL, b"- " + REST, False),
        (BGL, b"KERNDTLB " + REST, True),
        (BGL, REST, None),
        (BGL, None, None),
        (PLAIN, b"- " + REST, None),
        (PLAIN, b'{"message": "m", "label": 1}', True),
        (PLAIN, b'{"message": "m", "label": "Normal"}', False),
        (PLAIN, b'{"message": "m", "anomalous": true}', True),
        (PLAIN, b'{"message": "m", "anomalous": false, "label": null}', False),
        (PLAIN, b'{"message": "m", "l\\u0061bel": "anomaly"}', True),
        (PLAIN, b'{"message": "label"}', None),
        (PLAIN, b'{"message": "label', None),
        (SystemSpec(name="raw", format="raw"), b'{"label": 1}', None),
    ],
)
def test_labels_are_read(spec: SystemSpec, value: bytes | None, label: bool | None) -> None:
    """BGL's first field, or a JSON field; None where a line says nothing."""
    assert label_reader(spec)(value) is label


def test_a_word_that_is_no_label_is_refused() -> None:
    """A column of something else is not taken for labels."""
    with pytest.raises(SourceError, match="normal or anomalous, got 'ERROR'"):
        label_of("ERROR")


@pytest.mark.parametrize("label", [b"- ", b"KERNDTLB ", b"  - ", b""])
def test_bgl_labels_are_cut_out_of_a_target(label: bytes) -> None:
    """What is left is the same, whatever the label was."""
    assert label_remover(BGL)(label + REST) == REST


def test_a_broken_bgl_line_keeps_no_label_either() -> None:
    """A line that does not fit the layout becomes text as a whole, so the label must be gone before."""
    remove = label_remover(BGL)
    assert remove(b"- 1117838570 2005.06.03") == b"1117838570 2005.06.03"
    assert remove(b"APPREAD 1117838570 2005.06.03") == b"1117838570 2005.06.03"


@pytest.mark.parametrize(
    "fields", [{"label": 1}, {"label": "normal"}, {"anomalous": True, "label": 0}, {"label": {"deep": [1]}}, {}]
)
def test_json_labels_are_cut_out_of_a_target(fields: dict[str, Any]) -> None:
    """The line reads the same with any label and with none."""
    value = json.dumps({"message": "disk full", **fields, "timestamp": 12}).encode()
    removed = label_remover(PLAIN)(value)
    assert LineReader(PLAIN).lines(removed, 0) == LineReader(PLAIN).lines(b'{"message":"disk full","timestamp":12}', 0)
    assert set(json.loads(removed or b"")) == {"message", "timestamp"}


def test_a_bgl_line_inside_json_loses_its_label_too() -> None:
    """The layout is that of the message field."""
    value = json.dumps({"message": "KERNDTLB " + REST.decode()}).encode()
    assert json.loads(label_remover(BGL)(value) or b"") == {"message": REST.decode()}


@pytest.mark.parametrize("value", [None, b"", b"{broken", b'["label"]', b'{"label": 1' + b"[" * 2_000])
def test_what_is_not_readable_passes_to_the_reader(value: bytes) -> None:
    """The line reader says what is wrong with a line, not the label remover."""
    assert label_remover(PLAIN)(value) == value


def test_a_label_cannot_be_the_key() -> None:
    """The target's label field is gone, so it cannot group lines."""
    with pytest.raises(SourceError, match="key_field must not be a label"):
        label_remover(SystemSpec(name="a", key_field="label.host"))
