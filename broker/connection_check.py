"""Why a broker does not answer: a request only times out, while librdkafka's callback knows of bad passwords."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from broker.errors import BrokerError
from broker.settings import KafkaSettings

LISTEN_SECONDS = 2.0
# Of what is complained about, these say what to mend; that all brokers are down follows from them.
_TELLING = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})  # noqa: SLF001 - public names


def unanswered(kafka: KafkaSettings, error: KafkaException, seconds: float) -> BrokerError:
    """The error of a broker that did not answer for so long: where it was looked for, why, and what to check."""
    reason = _complaint(kafka) or f"{error.args[0].str()} for {seconds:g} s"
    return BrokerError(
        f"Kafka at {kafka.bootstrap_servers} must answer, got {reason}: check kafka.bootstrap_servers, its security "
        "settings, and that the broker runs"
    )


def _complaint(kafka: KafkaSettings) -> str:
    complaints: list[KafkaError] = []
    client = AdminClient(kafka.librdkafka() | {"error_cb": complaints.append})
    try:
        client.list_topics(timeout=LISTEN_SECONDS)
    except KafkaException:
        client.poll(0)  # serves the callback
    # What is given is not repeated: neither names nor passwords stand in librdkafka's texts.
    return next((str(one.str()) for one in complaints if one.code() in _TELLING), "")
