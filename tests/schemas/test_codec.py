import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert import Alert
from schemas.closed_window import ClosedWindow, event_hash
from schemas.codec import decode, encode
from schemas.errors import RecordError, UnknownMajorVersion
from schemas.late_line import LateLine
from schemas.model_record import ModelAlias, ModelPointer, ModelStatus
from schemas.template_record import TemplateRecord

RECORDS = (Alert, ClosedWindow, LateLine, ModelAlias, ModelPointer, ModelStatus, TemplateRecord)

texts = st.text(max_size=40)
pointers = st.builds(
    ModelPointer,
    system=texts,
    version=st.integers(1, 10**6),
    epoch=st.integers(0, 10**9),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    store=texts,
    created_ms=st.integers(0, 2**45),
    labeller=texts,
    size_bytes=st.integers(0, 2**40),
    metrics=st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)


@given(pointers)
def test_round_trip(pointer: ModelPointer) -> None:
    """What is encoded decodes to the same record, and encodes to the same bytes again."""
    payload = encode(pointer)
    assert decode(payload, ModelPointer) == pointer
    assert encode(decode(payload, ModelPointer)) == payload


@given(st.binary(max_size=200))
def test_any_bytes_give_a_record_or_a_record_error(payload: bytes) -> None:
    """Bytes from a topic never raise anything but RecordError."""
    for kind in RECORDS:
        try:
            decode(payload, kind)
        except RecordError:
            continue


def test_deep_nesting_is_a_record_error() -> None:
    """A message built to exhaust the stack is refused like any other broken one."""
    with pytest.raises(RecordError):
        decode(b'{"links":' + b"[" * 100_000, Alert)


def test_unknown_fields_of_a_minor_version_are_ignored() -> None:
    """A newer trainer may add fields; an older agent reads on."""
    document = msgspec.to_builtins(_pointer())
    newer = msgspec.json.encode({**document, "schema_version": "1.7", "signature": "…"})
    assert decode(newer, ModelPointer).version == _pointer().version


def test_an_unknown_major_version_is_refused() -> None:
    """A record of an incompatible future is not half understood."""
    document = msgspec.to_builtins(_pointer())
    with pytest.raises(UnknownMajorVersion, match=r"major version 1, got .2\.0"):
        decode(msgspec.json.encode({**document, "schema_version": "2.0"}), ModelPointer)


@pytest.mark.parametrize("field", ["system", "sha256", "version"])
def test_a_missing_field_is_named(field: str) -> None:
    """The error names the missing field."""
    document = msgspec.to_builtins(_pointer())
    del document[field]
    with pytest.raises(RecordError, match=field):
        decode(msgspec.json.encode(document), ModelPointer)


def test_event_hash_sees_order_and_members() -> None:
    """Windows with other offsets, other events or another order have another hash."""
    base = event_hash((1, 2), ("a", "b"))
    assert base == event_hash([1, 2], ["a", "b"])
    assert len({base, event_hash((2, 1), ("a", "b")), event_hash((1, 2), ("b", "a")), event_hash((1,), ("a",))}) == 4


def _pointer() -> ModelPointer:
    return ModelPointer(
        system="orders",
        version=3,
        epoch=7,
        sha256="0" * 64,
        store="kafka://t",
        created_ms=1,
        labeller="heuristic",
        size_bytes=9,
    )
