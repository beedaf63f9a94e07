import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Never

import pytest
import structlog
from confluent_kafka import Producer

from broker.embedded import embedded_broker
from broker.errors import BrokerError, TopicError
from detector.artifact.export import unpack
from detector.artifact.folder import read_folder
from detector.parsing.templates import template_id
from schemas.codec import encode
from schemas.template_record import TemplateRecord
from tests.trainer.tiny_run import SPEC, in_process, log_lines, tiny_settings
from trainer.data.learned_templates import read_learned_templates, standing_templates
from trainer.recipe import train
from trainer.settings import TrainerSettings

RARE = "carrier <*> lost parcel <NUM>"


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    """Address of an embedded broker."""
    with embedded_broker() as broker:
        yield broker.bootstrap_servers


def _record(text: str, system: str = "shop", first_seen_ms: int = 0, replaces: str = "") -> TemplateRecord:
    return TemplateRecord(
        id=template_id(text),
        system=system,
        text=text,
        first_seen_ms=first_seen_ms,
        topic="raw",
        partition=0,
        offset=0,
        replaces=replaces,
    )


def _produce(servers: str, topic: str, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
    producer = Producer({"bootstrap.servers": servers, "acks": "all"})
    for key, value in rows:
        producer.produce(topic, value, key, 0)
    assert producer.flush(30) == 0


def _settings(servers: str, target: str) -> TrainerSettings:
    return TrainerSettings.model_validate(
        {
            "kafka": {"bootstrap_servers": servers},
            "topic_prefix": f"p-{uuid.uuid4().hex[:8]}",
            "target": {"path": target, "spec": SPEC.model_dump(mode="json")},
        }
    )


def test_replaced_templates_and_those_of_other_systems_are_left_out() -> None:
    """Each text comes once; a template that a wider one has replaced does not come back."""
    old, wide = "carrier north lost parcel <NUM>", RARE
    records = [_record(old), _record(wide, replaces=template_id(old)), _record(wide), _record("other", "bank")]
    assert standing_templates(records, "shop") == (wide,)


def test_beyond_the_limit_the_newest_are_taken() -> None:
    """A flood of templates cannot grow a model without bound."""
    records = [_record(f"text {number}", first_seen_ms=number) for number in range(10)]
    assert standing_templates(records, "shop", limit=2) == ("text 8", "text 9")


def test_records_that_cannot_be_read_are_skipped(servers: str) -> None:
    """The newest record of a key counts, a tombstone removes it; a broken or foreign record costs a warning."""
    settings = _settings(servers, "kafka://raw.orders")
    forged = encode(_record("one")).replace(b'"text":"one"', b'"text":"two"')
    rows = [
        (b"shop/a", encode(_record("overwritten"))),
        (b"shop/a", encode(_record(RARE))),
        (b"shop/b", encode(_record("deleted"))),
        (b"shop/b", None),
        (b"shop/c", b"not json"),
        (b"shop/d", forged),
        (b"shop/e", encode(_record(" "))),
    ]
    _produce(servers, settings.topics.templates, rows)
    with structlog.testing.capture_logs() as logs:
        assert read_learned_templates(settings) == (RARE,)
    assert [(entry["event"], entry["records"]) for entry in logs] == [("templates ignored", 3)]


def test_an_absent_topic_is_no_error(servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first training of a system runs before any agent has learned anything; a file has no such topic at all."""
    assert read_learned_templates(_settings(servers, "kafka://raw.orders")) == ()
    assert read_learned_templates(_settings("127.0.0.1:1", "orders.log")) == ()

    def absent(*_: Any) -> Never:
        raise TopicError("topic must exist")

    monkeypatch.setattr("trainer.data.learned_templates.read_templates", absent)
    with structlog.testing.capture_logs() as logs:
        assert read_learned_templates(_settings(servers, "kafka://raw.orders")) == ()
    assert [entry["event"] for entry in logs] == ["templates.not_read"]


def test_a_broker_that_does_not_answer_is_an_error(servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model without the templates would look like one for which there were none."""

    def away(*_: Any) -> Never:
        raise BrokerError("broker must answer")

    monkeypatch.setattr("trainer.data.learned_templates.read_templates", away)
    with pytest.raises(BrokerError, match="must answer"):
        read_learned_templates(_settings(servers, "kafka://raw.orders"))


def test_a_learned_template_reaches_the_next_model(servers: str, tmp_path: Path) -> None:
    """A template that the history itself does not hold is in the artifact of a system that is read from a topic."""
    tiny = tiny_settings(tmp_path)
    topic, prefix = f"raw-{uuid.uuid4().hex[:8]}", f"p-{uuid.uuid4().hex[:8]}"
    lines = [path_line.encode() for path_line in (tmp_path / "target.jsonl").read_text().splitlines()]
    assert len(lines) == sum(1 for _ in log_lines(2, 250))
    _produce(servers, topic, [(b"", line) for line in lines])
    settings = TrainerSettings.model_validate(
        {
            **tiny.model_dump(by_alias=True, exclude={"recorded", "budget"}),
            "kafka": {"bootstrap_servers": servers},
            "topic_prefix": prefix,
            "target": {"path": f"kafka://{topic}", "spec": SPEC.model_dump(mode="json")},
        }
    )
    _produce(servers, settings.topics.templates, [(b"shop/a", encode(_record(RARE)))])
    train(settings, make_workers=in_process)
    model = unpack(read_folder(tmp_path / "out"))
    assert template_id(RARE) in {info.id for info in model.templates}
