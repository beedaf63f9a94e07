"""Apache Kafka's jars: fetched from Maven Central by `deploy/kafka/pom.xml`, once, into a cache outside the clone."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from testkit.errors import KafkaUnavailable
from testkit.processes import ROOT

POM = ROOT / "deploy/kafka/pom.xml"
MAVEN_SECONDS = 600.0  # 43 MB; 10 s on a fast connection


def java() -> str:
    """Path of the Java program.

    Raises:
        KafkaUnavailable: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = (shutil.which("java", path=f"{home}/bin") if home else None) or shutil.which("java")
    if found is None:
        raise KafkaUnavailable("a real Kafka needs Java 17 or newer: install openjdk-17-jre-headless (and maven)")
    return found


def jars_folder() -> Path:
    """Folder of the jars of the pinned version, in a cache of all clones; a changed pom gets its own folder.

    Raises:
        KafkaUnavailable: this is no checkout of the repository, or its pom names no version.
    """
    if not POM.is_file():
        raise KafkaUnavailable(f"a real Kafka needs a checkout of fusionlog's repository, got no file {POM}")
    text = POM.read_text(encoding="utf-8")
    version = re.search(r"<kafka\.version>([^<]+)<", text)
    if version is None:
        raise KafkaUnavailable(f"{POM} must name <kafka.version>")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fusionlog" / f"kafka-{version[1]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def ensure_jars() -> Path:
    """The folder of jars, fetched with Maven when it does not exist yet; safe when several processes call it at once.

    Raises:
        KafkaUnavailable: Java, Maven or the checkout is absent, or Maven failed.
    """
    java()
    folder = jars_folder()
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable("a real Kafka needs Maven once, to fetch its jars: install maven")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Maven's own store does not allow two writers at once. The rename makes the folder appear with all its files.
    with (folder.parent / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        fresh = Path(tempfile.mkdtemp(prefix="kafka-", dir=folder.parent))
        try:
            _fetch(maven, fresh)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _fetch(maven: str, folder: Path) -> None:
    command = [maven, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise KafkaUnavailable(f"Maven did not fetch Kafka's jars within {MAVEN_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise KafkaUnavailable(f"Maven could not fetch Kafka's jars: {(done.stdout + done.stderr)[-800:].strip()}")
