"""Writing a few records and waiting for every acknowledgement."""

from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaException, Producer

from broker.errors import BrokerError
from broker.settings import KafkaSettings

WRITE_SECONDS = 30.0


def write_all(
    kafka: KafkaSettings,
    records: Sequence[tuple[str, bytes, bytes | None]],
    timeout_seconds: float = WRITE_SECONDS,
    partition: int | None = None,
) -> None:
    """Write (topic, key, value) records; into the partition of each key where no partition is given.

    Raises:
        BrokerError: a record was refused or not acknowledged in time.
    """
    topics = ", ".join(sorted({topic for topic, _, _ in records}))
    problems: list[str] = []

    def on_delivery(error: Any, _message: Any) -> None:
        if error is not None:
            problems.append(str(error))

    producer = Producer(
        kafka.librdkafka()
        | {"enable.idempotence": True, "acks": "all", "delivery.timeout.ms": int(timeout_seconds * 1000)}
    )
    place = {} if partition is None else {"partition": partition}
    try:
        for topic, key, value in records:
            producer.produce(topic, key=key, value=value, on_delivery=on_delivery, **place)
            producer.poll(0)
        left = producer.flush(timeout_seconds)
    except (KafkaException, BufferError) as error:
        raise BrokerError(f"Kafka must accept records on {topics}, got {error}") from error
    if left or problems:
        reason = problems[0] if problems else f"{left} records without an answer in {timeout_seconds:g} s"
        raise BrokerError(f"Kafka must acknowledge every record on {topics}, got {reason}")
