"""SASL and TLS on a real Kafka: librdkafka's and aiokafka's clients with the same settings, and what goes wrong."""

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from broker.admin import ensure_topics
from broker.errors import BrokerError
from broker.settings import KafkaSettings
from detector.testing import tiny_files
from fusionlog.__main__ import run
from schemas.topics import Topics
from testkit.kafka_bed import AgentProcess, KafkaBed
from testkit.kafka_jars import java
from testkit.local_kafka import LocalKafka
from testkit.processes import HOST, free_port, wait_until
from tests.integration.test_agent_faults import check_windows, interleaved, watermark_records

pytestmark = pytest.mark.kafka

PASSWORD = "open sesame"  # noqa: S105 - of a broker that exists for one test
STORE_PASSWORD = "changeit"  # noqa: S105


def keytool(*arguments: str) -> None:
    """Run the JVM's keytool."""
    program = shutil.which("keytool") or str(Path(java()).resolve().parent / "keytool")
    subprocess.run([program, *arguments], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def secure(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """Settings for a broker that wants a password over TLS, with a certificate that only its own authority vouches for.

    `kafka` is asked for so that these tests skip and fail where the others do.
    """
    del kafka
    folder = tmp_path_factory.mktemp("tls")
    store, authority, password = folder / "broker.p12", folder / "ca.pem", folder / "password"
    password.write_text(PASSWORD + "\n", encoding="utf-8")
    secret = ("-keystore", str(store), "-storetype", "PKCS12", "-storepass", STORE_PASSWORD, "-alias", "broker")
    keytool(
        *("-genkeypair", "-keyalg", "EC", "-dname", "CN=broker", "-validity", "2"),
        *("-ext", f"SAN=ip:{HOST}", "-ext", "BasicConstraints:critical=ca:true", *secret),
    )
    keytool("-exportcert", "-rfc", "-file", str(authority), *secret)
    port = free_port()
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    settings = {
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(store),
        "ssl.keystore.password": STORE_PASSWORD,
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{login} user_fusionlog="{PASSWORD}";',
    }
    with LocalKafka(settings=settings, protocols={"SASL_SSL": port}):
        yield KafkaSettings(
            bootstrap_servers=f"{HOST}:{port}",
            security_protocol="SASL_SSL",
            sasl_mechanism="PLAIN",
            sasl_username="fusionlog",
            sasl_password_file=password,
            ssl_ca_file=authority,
        )


def test_the_agent_works_over_tls_with_a_password(secure: KafkaSettings, tmp_path: Path) -> None:
    """Topics, artifact store, registry, consumer group, state and output: all of it on the secured listener."""
    bench = KafkaBed(secure, uuid.uuid4().hex[:12])
    bench.publish(tiny_files(), 1)
    with AgentProcess(bench, tmp_path) as agent:
        agent.wait_for_log("agent is running")
        bench.produce([*islice(interleaved(3), 200), *watermark_records()])
        wait_until(bench.all_committed, "everything is committed")
        check_windows(bench)
        assert agent.terminate() == 0
    assert PASSWORD not in agent.log


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sasl_password_file": None, "sasl_password": "t0p"}, "Authentication failed: Invalid username or password"),
        ({"ssl_ca_file": None}, "certificate verify failed"),
        (
            {"security_protocol": "PLAINTEXT", "sasl_mechanism": None, "sasl_username": None}
            | {"sasl_password_file": None, "ssl_ca_file": None},
            "Broker transport failure",
        ),
    ],
    ids=["wrong password", "unknown authority", "no encryption"],
)
def test_what_does_not_fit_is_a_clear_error(secure: KafkaSettings, changes: dict[str, object], reason: str) -> None:
    """The error for wrong credentials holds the broker's reason and the settings to check, and no password."""
    wrong = KafkaSettings.model_validate(secure.model_dump() | changes)
    with pytest.raises(BrokerError, match=rf"must answer, got .*{reason}.*: check .*security settings") as caught:
        ensure_topics(wrong, Topics("never"), raw={})
    assert "t0p" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_commands_and_agent_take_a_settings_file(
    secure: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The secured listener by a file, and a password that is wrong there: exit code 1 with one line, no traceback."""
    ensure_topics(secure, Topics("cli"), raw={})
    config = tmp_path / "settings.yaml"
    config.write_text(f"topic_prefix: cli\nkafka: {secure.model_dump_json(exclude_defaults=True)}\n", encoding="utf-8")
    assert run(["models", "ls", "--config", str(config)]) == 0
    assert "no model is published" in capsys.readouterr().out
    (tmp_path / "password").write_text("t0p", encoding="utf-8")
    wrong = secure.model_copy(update={"sasl_password_file": tmp_path / "password"})
    bench = KafkaBed(secure, uuid.uuid4().hex[:12])
    bench.kafka = wrong
    with AgentProcess(bench, tmp_path) as agent:
        assert agent.wait() == 1
    assert "Invalid username or password" in agent.log
    assert "Traceback" not in agent.log
