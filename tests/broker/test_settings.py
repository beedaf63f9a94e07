"""Kafka settings: one model, two clients, no credentials that go unused."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from broker.errors import BrokerError
from broker.settings import KafkaSettings


def test_plaintext_is_the_default() -> None:
    """Both clients get the address and the protocol."""
    settings = KafkaSettings(bootstrap_servers="a:1, b:2")
    assert settings.librdkafka()["bootstrap.servers"] == "a:1, b:2"
    assert settings.aiokafka()["bootstrap_servers"] == ["a:1", "b:2"]


def test_sasl_passwords_come_from_a_file_and_are_not_shown(tmp_path: Path) -> None:
    """The password's file is read when a client is made, without its newline; it is in no representation."""
    file = tmp_path / "password"
    file.write_text("secret\n")
    settings = KafkaSettings(
        security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512", sasl_username="agent", sasl_password_file=file
    )
    assert settings.librdkafka()["sasl.password"] == "secret"
    assert settings.aiokafka()["sasl_plain_password"] == file.read_text().strip()
    assert settings.aiokafka()["ssl_context"].check_hostname
    assert "secret" not in repr(settings)
    file.unlink()
    with pytest.raises(BrokerError, match="sasl_password_file must be readable"):
        settings.librdkafka()


def test_a_certificate_that_is_none_is_an_error(tmp_path: Path) -> None:
    """A CA file without a certificate is an error that names it."""
    file = tmp_path / "ca.pem"
    file.write_text("nonsense")
    with pytest.raises(BrokerError, match="PEM"):
        KafkaSettings(security_protocol="SSL", ssl_ca_file=file).aiokafka()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"bootstrap_servers": "localhost"}, "bootstrap_servers"),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism and sasl_username must be given"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u"},
            "exactly one of sasl_password",
        ),
        ({"sasl_username": "u"}, "security_protocol must be SASL"),
        ({"ssl_ca_file": "ca.pem"}, "security_protocol must be SSL"),
        ({"security_protocol": "SSL", "ssl_key_file": "k"}, "must be given together"),
        ({"bootstrap": "a:1"}, "bootstrap"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], problem: str) -> None:
    """Each contradiction is named; credentials that would go unused are one."""
    with pytest.raises(ValidationError, match=problem):
        KafkaSettings(**changes)
