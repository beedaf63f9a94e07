"""A real Apache Kafka on this machine, without Docker: one JVM as broker and controller (KRaft), for tests and trials.

Run it in the foreground with `make kafka`, or from Python:

    with LocalKafka() as kafka:
        print(kafka.bootstrap_servers)

Maven fetches the jars once (43 MB) into a cache outside the clone; afterwards Java alone is enough.
"""

import argparse
import atexit
import base64
import contextlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from testkit.errors import KafkaUnavailable
from testkit.kafka_jars import ensure_jars, java
from testkit.processes import HOST, ManagedProcess, free_port

START_SECONDS = 90.0  # 5 to 9 s on an idle machine, many times that on a busy one
STOP_SECONDS = 20.0  # a clean stop takes 1 to 3 s
POLL_SECONDS = 0.1


class LocalKafka:
    """One Apache Kafka process with its own log folder.

    Args:
        port: where it listens; 0 picks a free one, which `restart` keeps.
        folder: of its data and its log; without it, a temporary folder that `stop` removes.
        settings: further lines of `server.properties`, which override the defaults.
        protocols: further listeners, security protocol → port; their own lines are in `settings`.
        heap: the JVM's `-Xmx`.
    """

    def __init__(
        self,
        port: int = 0,
        folder: Path | None = None,
        settings: Mapping[str, str] | None = None,
        protocols: Mapping[str, int] | None = None,
        heap: str = "512m",
    ) -> None:
        self.port = port or free_port()
        self._controller_port = free_port()
        self._temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="fusionlog-kafka-")) if folder is None else folder
        self._settings = dict(settings or {})
        self._protocols = dict(protocols or {})
        self._heap = heap
        self._process: ManagedProcess | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Address for clients."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id of the JVM; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.running else None

    @property
    def log_file(self) -> Path:
        """What the broker has written to its output."""
        return self.folder / "kafka.log"

    def start(self) -> Self:
        """Formats the folder when it is new, starts the JVM and returns once it answers.

        Raises:
            KafkaUnavailable: Java or Maven is missing, or the broker did not come up in `START_SECONDS`.
        """
        if self.pid is not None:
            return self
        jars = ensure_jars()
        config = self._write_config()
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(jars, config)
        self._process = ManagedProcess(
            [*self._java(jars), "kafka.Kafka", str(config)], self.log_file, name="Kafka", stop_seconds=STOP_SECONDS
        )
        atexit.register(self.stop)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._end(signal.SIGKILL)
            raise
        return self

    def kill(self) -> None:
        """Ends the broker as a power cut would (SIGKILL); its folder stays for `restart`."""
        self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """Starts it again on the same port and folder, after stopping it cleanly if it still runs."""
        self._end(signal.SIGTERM)
        return self.start()

    def stop(self) -> None:
        """Stops it (SIGTERM, then SIGKILL after `STOP_SECONDS`) and removes the folder if it is a temporary one."""
        self._end(signal.SIGTERM)
        atexit.unregister(self.stop)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_config(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        protocols = {"PLAINTEXT": self.port, **self._protocols}
        advertised = ",".join(f"{protocol}://{HOST}:{port}" for protocol, port in protocols.items())
        known = ",".join(f"{protocol}:{protocol}" for protocol in protocols)
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{advertised},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": advertised,
            "listener.security.protocol.map": f"{known},CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            # A killed broker can register again only after its old session has expired: 9 s by default.
            "broker.session.timeout.ms": "5000",
            "broker.heartbeat.interval.ms": "1000",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",  # instead of 50: seconds of a test's start
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.num.partitions": "4",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            **self._settings,
        }
        path = self.folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
        return path

    def _format(self, jars: Path, config: Path) -> None:
        command = [*self._java(jars), "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        if done.returncode != 0:
            raise KafkaUnavailable(f"Kafka could not format {self.folder}: {_without_trace(done.stdout + done.stderr)}")

    def _java(self, jars: Path) -> list[str]:
        # The serial collector and the first compiler tier use less CPU, which the tests need themselves.
        return [
            java(),
            f"-Xmx{self._heap}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dlog4j2.level=WARN",
            "-cp",
            f"{jars}/*",
        ]

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.pid is None:
                raise KafkaUnavailable(f"Kafka ended while starting:\n{self._log_tail()}")
            if _listens(self.port) and _answers(self.bootstrap_servers):
                return
            time.sleep(POLL_SECONDS)
        raise KafkaUnavailable(f"Kafka did not answer within {START_SECONDS:.0f} s:\n{self._log_tail()}")

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return _without_trace(self.log_file.read_text(encoding="utf-8", errors="replace"))
        return "(no log)"

    def _end(self, first: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.stop(first)


def _without_trace(output: str) -> str:
    """The end of a JVM's output without the lines of its stack traces."""
    return "\n".join(line for line in output.splitlines() if not line.startswith("\tat "))[-1_000:]


def _cluster_id() -> str:
    # 16 random bytes as Kafka writes them; a leading "-" would read as an option on the command line.
    while (text := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1.0):
        return True
    return False


def _answers(bootstrap_servers: str) -> bool:
    """Whether a client gets the cluster's metadata and the broker is registered."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0, "socket.timeout.ms": 2_000})
    try:
        return bool(client.list_topics(timeout=2.0).brokers)
    except KafkaException:
        return False


def main() -> int:
    """Runs one broker until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(
        description="Run a local Apache Kafka until Ctrl-C.",
        epilog="example: python -m testkit.local_kafka --port 9092 --folder /tmp/k",
    )
    parser.add_argument("--port", type=int, default=9092, help="0 picks a free one (default: 9092)")
    parser.add_argument("--folder", type=Path, default=None, help="keep data here (default: a temporary folder)")
    options = parser.parse_args()
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    try:
        with LocalKafka(port=options.port, folder=options.folder) as kafka:
            print(f"Kafka answers at {kafka.bootstrap_servers} (pid {kafka.pid}, data in {kafka.folder})", flush=True)
            while not stopped.wait(0.5):
                if kafka.pid is None:
                    print(f"Kafka ended by itself:\n{kafka._log_tail()}", file=sys.stderr)  # noqa: SLF001
                    return 1
    except KafkaUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
