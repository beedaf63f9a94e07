import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import RecordError
from schemas.snapshot import SnapshotName

METADATA_BYTES = 4096  # Kafka's default limit of commit metadata

names = st.builds(
    SnapshotName,
    base=st.integers(0, 2**63),
    last=st.integers(0, 2**63),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    generation=st.integers(-1, 2**31),
)


@given(names)
def test_commit_metadata_names_the_snapshot(name: SnapshotName) -> None:
    """Metadata reads back as the snapshot it names and stays below the broker's limit."""
    assert SnapshotName.parse(name.metadata()) == name
    assert len(name.metadata().encode()) < METADATA_BYTES


@pytest.mark.parametrize("metadata", ["", "v2;base=1", "hello", "v1;base=1;last=2;sha=00;gen=1"])
def test_metadata_of_others_is_refused(metadata: str) -> None:
    """A group that another program commits to is noticed, not guessed at."""
    with pytest.raises(RecordError, match="must name a snapshot"):
        SnapshotName.parse(metadata)
