"""Creating the topics that fusionlog needs."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from broker.connection_check import unanswered
from broker.errors import BrokerError
from broker.settings import ANSWER_SECONDS, KafkaSettings
from schemas.topics import Topics

OUTPUT_PARTITIONS = 1
CREATE_SECONDS = 30.0
# Chunks of models and snapshots are 512 KiB; dead letters are as large as the raw record, or truncated.
MAX_MESSAGE_BYTES = 2 * 1024 * 1024


def ensure_topics(
    kafka: KafkaSettings,
    topics: Topics,
    raw: Mapping[str, int],
    replication: int = 1,
    raw_config: Mapping[str, str] | None = None,
    state_partitions: int = 1,
) -> list[str]:
    """Create the missing ones of our topics and of the raw topics, and return their names; others stay unchanged.

    A cluster without topic administration (the embedded one) creates a topic when its metadata is requested; there the
    metadata is requested.

    `raw` has the number of partitions of each raw topic, `raw_config` the broker settings of those that are created,
    e.g. `{"retention.ms": "-1"}`. A replication of -1 takes the broker's default. `state_partitions` is the smallest
    number of partitions of the state topic, for raw topics that are not in `raw`.

    Raises:
        BrokerError: the broker does not answer or refuses.
    """
    admin = AdminClient(kafka.librdkafka())
    existing, embedded = _existing(admin, kafka)
    raw_partitions = _widest(existing, raw, state_partitions)
    wanted = {name: NewTopic(name, count, replication, config=dict(raw_config or {})) for name, count in raw.items()}
    for spec in topics.specs():
        partitions = raw_partitions if spec.per_raw_partition else OUTPUT_PARTITIONS
        config = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
        if spec.compacted:
            config["cleanup.policy"] = "compact"
        wanted[spec.name] = NewTopic(spec.name, partitions, replication, config=config)
    missing = [topic for name, topic in wanted.items() if name not in existing]
    if not missing:
        return []
    if embedded:
        return _create_by_request(kafka, [topic.topic for topic in missing])
    return _create(admin, missing)


def too_narrow(kafka: KafkaSettings, topics: Topics, raw: Mapping[str, int], state_partitions: int = 1) -> list[str]:
    """Warnings for the operator: one line per topic that exists with fewer partitions than `ensure_topics` makes.

    Raises:
        BrokerError: the broker does not answer.
    """
    existing, _ = _existing(AdminClient(kafka.librdkafka()), kafka)
    warnings = [
        f"topic {name!r} has {existing[name]} partitions, fewer than the {count} asked for, and is not changed"
        for name, count in raw.items()
        if existing.get(name, count) < count
    ]
    wanted = _widest(existing, raw, state_partitions)
    if existing.get(topics.state, wanted) < wanted:
        warnings.append(
            f"topic {topics.state!r} has {existing[topics.state]} partitions, fewer than the {wanted} asked for: the "
            "agent needs one for each partition of the widest raw topic; add them with `kafka-topics.sh --alter "
            f"--topic {topics.state} --partitions {wanted}`"
        )
    return warnings


def check_topics(kafka: KafkaSettings, topics: Topics, raw: Sequence[str]) -> None:
    """Check that every topic exists, and that the state topic has a partition for each raw partition.

    Raises:
        BrokerError: the broker does not answer, or a topic is missing or too narrow.
    """
    existing, embedded = _existing(AdminClient(kafka.librdkafka()), kafka)
    missing = [name for name in (*raw, *(spec.name for spec in topics.specs())) if name not in existing]
    if missing and embedded:
        _create_by_request(kafka, missing)
        return
    if missing:
        raise BrokerError(
            f"topic {missing[0]!r} must exist, got none ({len(missing)} missing): run `fusionlog topics create`"
        )
    widest = max(existing[name] for name in raw)
    if existing[topics.state] < widest:
        raise BrokerError(
            f"topic {topics.state!r} must have at least {widest} partitions, as many as the widest raw topic, "
            f"got {existing[topics.state]}: add partitions to it"
        )


def _widest(existing: Mapping[str, int], raw: Mapping[str, int], least: int) -> int:
    """Partitions that the state topic needs: as many as the widest raw topic has or will have."""
    return max([least, *(existing.get(name, count) for name, count in raw.items())])


def _existing(admin: AdminClient, kafka: KafkaSettings) -> tuple[dict[str, int], bool]:
    """Topic → number of partitions; and whether the cluster is the embedded one, which has no administration."""
    try:
        metadata = admin.list_topics(timeout=ANSWER_SECONDS)
    except KafkaException as error:
        raise unanswered(kafka, error, ANSWER_SECONDS) from error
    existing = {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}
    return existing, (metadata.cluster_id or "").startswith("mockCluster")


def _create(admin: AdminClient, missing: list[NewTopic]) -> list[str]:
    created = []
    futures: dict[str, Future[Any]] = admin.create_topics(missing, request_timeout=CREATE_SECONDS)
    for name, future in futures.items():
        try:
            future.result(CREATE_SECONDS + 5)
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue  # another program created it meanwhile
            raise BrokerError(f"topic {name!r} must be creatable, got {error.args[0].str()}") from error
    return created


def _create_by_request(kafka: KafkaSettings, names: list[str]) -> list[str]:
    """Have the cluster create each topic, by requesting its metadata as a producer does.

    Raises:
        BrokerError: a topic is still absent.
    """
    producer = Producer(kafka.librdkafka())
    for name in names:
        topic = producer.list_topics(name, timeout=CREATE_SECONDS).topics[name]
        if topic.error is not None:
            raise BrokerError(
                f"topic {name!r} must exist on a broker without topic administration, got {topic.error.str()}"
            )
    return names
