import pytest

from schemas.topics import Topics


def test_names_carry_prefix_and_version() -> None:
    """Topics of two tenants never share a name."""
    ours = {spec.name for spec in Topics("fusionlog").specs()}
    theirs = {spec.name for spec in Topics("staging").specs()}
    assert "fusionlog.model-chunks.v1" in ours
    assert not ours & theirs


def test_state_and_pointers_are_compacted_and_alerts_are_not() -> None:
    """Topics that must be read from their beginning are compacted; the others have a retention time."""
    compacted = {spec.name for spec in Topics().specs() if spec.compacted}
    assert {Topics().state, Topics().models, Topics().model_chunks} <= compacted
    assert Topics().alerts not in compacted


@pytest.mark.parametrize("prefix", ["", "a b", "x" * 101, "naïve"])
def test_a_prefix_that_kafka_refuses_is_refused(prefix: str) -> None:
    """The error names what is allowed."""
    with pytest.raises(ValueError, match="topic prefix must be"):
        Topics(prefix)
