"""Why a broker does not answer: a request only times out, but librdkafka reports bad passwords to a callback."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from broker.errors import BrokerError
from broker.settings import KafkaSettings

LISTEN_SECONDS = 2.0
# These errors name a cause that can be corrected; "all brokers down" only follows from them.
_CAUSES = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})  # noqa: SLF001 - public names


def unanswered(kafka: KafkaSettings, error: KafkaException, seconds: float) -> BrokerError:
    """The error for a broker that did not answer in so many seconds: its address, the cause, and what to check."""
    errors: list[KafkaError] = []
    client = AdminClient(kafka.librdkafka() | {"error_cb": errors.append})
    try:
        client.list_topics(timeout=LISTEN_SECONDS)
    except KafkaException:
        client.poll(0)  # serves the callback
    # librdkafka's texts hold neither user names nor passwords.
    causes = [one.str() for one in errors if one.code() in _CAUSES]
    reason = causes[0] if causes else f"{error.args[0].str()} for {seconds:g} s"
    return BrokerError(
        f"Kafka at {kafka.bootstrap_servers} must answer, got {reason}: check kafka.bootstrap_servers, its security "
        "settings, and that the broker runs"
    )
