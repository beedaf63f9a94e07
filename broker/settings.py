"""How to reach Kafka: one model for librdkafka (trainer, tools) and for aiokafka (agent)."""

import re
import ssl
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from broker.errors import BrokerError
from detector.settings import Frozen

REQUEST_TIMEOUT_MS = 30_000  # bounds every request, so that a dead broker is an error
ANSWER_SECONDS = 10.0  # a broker that does not answer a metadata request in this time is taken as down

_SERVERS = re.compile(r"^\s*[^\s,:/]+:\d{1,5}(\s*,\s*[^\s,:/]+:\d{1,5})*\s*$|^\s*\[[0-9a-fA-F:]+\]:\d{1,5}\s*$")


class KafkaSettings(Frozen):
    """Address and credentials of a Kafka cluster. Secrets are given as files where there is a choice.

    Methods raise BrokerError where the file of a secret or a certificate cannot be read.
    """

    bootstrap_servers: str = Field(default="localhost:9092", description="host:port, several separated by commas")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="SASL_… logs in, …SSL encrypts"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="how to log in; required with SASL_…"
    )
    sasl_username: str | None = Field(default=None, description="required with SASL_…")
    sasl_password: SecretStr | None = Field(
        default=None, description="better given by sasl_password_file or the environment"
    )
    sasl_password_file: Path | None = Field(
        default=None, description="file that holds the password, read at each connection"
    )
    ssl_ca_file: Path | None = Field(
        default=None, description="PEM of the authority that signed the brokers; the machine's own list without"
    )
    ssl_certificate_file: Path | None = Field(default=None, description="PEM of our own certificate, for mutual TLS")
    ssl_key_file: Path | None = Field(default=None, description="PEM of its key")
    client_id: str = Field(default="fusionlog", min_length=1, max_length=100, description="name that the brokers log")

    @field_validator("bootstrap_servers")
    @classmethod
    def _addresses(cls, servers: str) -> str:
        if not _SERVERS.match(servers):
            raise ValueError(f"must be host:port, several separated by commas, got {servers!r}")
        return servers

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sasl = self.security_protocol.startswith("SASL")
        if sasl and (self.sasl_mechanism is None or not self.sasl_username):
            raise ValueError(
                f"sasl_mechanism and sasl_username must be given for {self.security_protocol}, got nothing"
            )
        if sasl and (self.sasl_password is None) == (self.sasl_password_file is None):
            raise ValueError("exactly one of sasl_password and sasl_password_file must be given")
        if not sasl and (self.sasl_mechanism or self.sasl_username or self.sasl_password or self.sasl_password_file):
            # Without this error the credentials would silently go unused, over an unencrypted connection.
            raise ValueError(
                f"security_protocol must be SASL_SSL or SASL_PLAINTEXT when sasl_… is given, "
                f"got {self.security_protocol}"
            )
        tls_files = (self.ssl_ca_file, self.ssl_certificate_file, self.ssl_key_file)
        if not self.tls and any(tls_files):
            raise ValueError(
                f"security_protocol must be SSL or SASL_SSL when ssl_… is given, got {self.security_protocol}"
            )
        if (self.ssl_certificate_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_certificate_file and ssl_key_file must be given together")
        return self

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    def password(self) -> str:
        """The SASL password, read from its file where one is named."""
        if self.sasl_password is not None:
            return self.sasl_password.get_secret_value()
        assert self.sasl_password_file is not None
        try:
            return self.sasl_password_file.read_text("utf-8").strip()
        except OSError as error:
            raise BrokerError(f"sasl_password_file must be readable, got {error}: check the mounted secret") from error

    def librdkafka(self) -> dict[str, Any]:
        """Settings of a confluent-kafka client."""
        settings: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": self.client_id,
            "security.protocol": self.security_protocol,
            "socket.timeout.ms": REQUEST_TIMEOUT_MS,
            "log_level": 2,  # librdkafka writes to stderr by itself; important messages come back as errors
        }
        if self.sasl_mechanism is not None:
            settings |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.password(),
            }
        files = {
            "ssl.ca.location": self.ssl_ca_file,
            "ssl.certificate.location": self.ssl_certificate_file,
            "ssl.key.location": self.ssl_key_file,
        }
        return settings | {name: str(path) for name, path in files.items() if path is not None}

    def aiokafka(self) -> dict[str, Any]:
        """Settings of an aiokafka client."""
        settings: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",")],
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
        }
        if self.tls:
            settings["ssl_context"] = self._ssl_context()
        if self.sasl_mechanism is not None:
            settings |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.password(),
            }
        return settings

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=None if self.ssl_ca_file is None else str(self.ssl_ca_file))
            if self.ssl_certificate_file is not None and self.ssl_key_file is not None:
                context.load_cert_chain(str(self.ssl_certificate_file), str(self.ssl_key_file))
        except (OSError, ssl.SSLError) as error:
            raise BrokerError(f"ssl_… files must be readable PEM files, got {error}") from error
        return context
