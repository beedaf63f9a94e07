"""The local Apache Kafka that the integration tests stand on."""

import shutil
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from testkit import kafka_jars
from testkit.errors import KafkaUnavailable
from testkit.local_kafka import LocalKafka

TIMEOUT_SECONDS = 30.0


def create_topic(servers: str, topic: str) -> None:
    """Creates a topic of one partition."""
    client = AdminClient({"bootstrap.servers": servers})  # held until the answer is there
    client.create_topics([NewTopic(topic, 1, 1)])[topic].result(TIMEOUT_SECONDS)


def produce(servers: str, topic: str, value: bytes) -> None:
    """Sends one record and waits for its acknowledgement."""
    producer = Producer({"bootstrap.servers": servers, "acks": "all"})
    producer.produce(topic, value)
    assert producer.flush(TIMEOUT_SECONDS) == 0


def consume_one(servers: str, topic: str) -> bytes | None:
    """Reads the first record of a topic through a consumer group."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        message = consumer.poll(TIMEOUT_SECONDS)
        return None if message is None or message.error() else message.value()
    finally:
        consumer.close()


@pytest.mark.kafka
def test_the_session_broker_takes_and_gives_back_a_record(kafka: str) -> None:
    """What is produced with acks=all comes back to a consumer group."""
    topic = f"trial-{uuid.uuid4().hex[:8]}"
    create_topic(kafka, topic)
    produce(kafka, topic, b"line")
    assert consume_one(kafka, topic) == b"line"


@pytest.mark.kafka
def test_topics_are_not_made_by_accident(kafka: str) -> None:
    """A client that names an unknown topic does not create it."""
    topic = f"absent-{uuid.uuid4().hex[:8]}"
    client = AdminClient({"bootstrap.servers": kafka})
    client.list_topics(topic, timeout=TIMEOUT_SECONDS)
    assert topic not in client.list_topics(timeout=TIMEOUT_SECONDS).topics


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_it_survives_a_kill_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """After SIGKILL it comes back on the same port with its records; after stop its process is gone."""
    with LocalKafka(folder=tmp_path / "kafka") as broker:
        servers, first_pid = broker.bootstrap_servers, broker.pid
        create_topic(servers, "kept")
        produce(servers, "kept", b"before")
        broker.kill()
        assert broker.pid is None
        assert not Path(f"/proc/{first_pid}").exists()
        broker.restart()
        assert (broker.bootstrap_servers, broker.pid != first_pid) == (servers, True)
        assert consume_one(servers, "kept") == b"before"
        second_pid = broker.pid
    assert broker.pid is None
    assert not Path(f"/proc/{second_pid}").exists()
    assert (tmp_path / "kafka" / "data").is_dir()


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_a_setting_that_kafka_refuses_is_reported_with_its_words(tmp_path: Path) -> None:
    """A broker that cannot start says why, and leaves no process."""
    broker = LocalKafka(folder=tmp_path, settings={"num.io.threads": "none"})
    with pytest.raises(KafkaUnavailable, match=r"num\.io\.threads"):
        broker.start()
    assert broker.pid is None


def test_missing_java_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Java the error says what to install."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(KafkaUnavailable, match="install openjdk"), LocalKafka():
        pass


@pytest.mark.skipif(shutil.which("java") is None, reason="without Java the error is the one about Java")
def test_missing_maven_is_named_when_the_jars_are_not_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Maven and without a cache the error says what to install."""
    monkeypatch.setattr(kafka_jars, "java", lambda: "java")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(KafkaUnavailable, match="install maven"):
        kafka_jars.ensure_jars()


@pytest.mark.skipif(shutil.which("java") is None, reason="a failing Maven is simulated where Java is present")
def test_a_failing_maven_leaves_no_half_filled_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Jars appear complete or not at all, and Maven's words reach the user."""
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho no route to central >&2\nexit 1\n", encoding="utf-8")
    maven.chmod(0o755)
    monkeypatch.setattr(kafka_jars, "java", lambda: "java")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{maven.parent}:/bin")
    with pytest.raises(KafkaUnavailable, match="no route to central"):
        kafka_jars.ensure_jars()
    assert [path.name for path in (tmp_path / "cache" / "fusionlog").iterdir()] == ["kafka.lock"]


def test_outside_a_checkout_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The pom lies in the repository, not in the wheel."""
    monkeypatch.setattr(kafka_jars, "POM", tmp_path / "pom.xml")
    with pytest.raises(KafkaUnavailable, match="needs a checkout"):
        kafka_jars.jars_folder()
