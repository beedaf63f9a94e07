"""What each command needs to be installed, and what it says when that is absent."""

import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from broker.admin import ensure_topics
from broker.embedded import embedded_broker
from broker.settings import KafkaSettings
from fusionlog.__main__ import run
from fusionlog.extras import MODULES, require_extra
from schemas.topics import Topics
from testkit.processes import ManagedProcess, free_port, import_path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
HEAVY = ("torch", "ray", "faust", "openai", "pymilvus", "gensim")


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    """Bootstrap servers of an embedded broker that has fusionlog's topics."""
    with embedded_broker() as broker:
        ensure_topics(KafkaSettings(bootstrap_servers=broker.bootstrap_servers), Topics("fusionlog"), raw={"raw": 4})
        yield broker.bootstrap_servers


def program(arguments: list[str], hidden: tuple[str, ...] = (), after: str = "") -> list[str]:
    """A command that runs `fusionlog ARGUMENTS` in a Python that cannot import the hidden modules."""
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({hidden!r}))\n"  # importing such a name raises ModuleNotFoundError
        "from fusionlog.__main__ import run\n"
        f"code = run({arguments!r})\n"
        f"{after}\n"
        "sys.exit(code)\n"
    )
    return [sys.executable, "-c", code]


def test_the_table_of_modules_is_what_the_extras_install() -> None:
    """Each package of an extra brings a module of the table, and no other module is in it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    brought_by = packages_distributions()
    assert {
        extra: {name.replace("_", "-") for module in modules for name in brought_by[module]}
        for extra, modules in MODULES.items()
    } == {extra: {entry.partition("==")[0].partition("[")[0] for entry in entries} for extra, entries in extras.items()}


@pytest.mark.parametrize(
    ("command", "extra", "arguments"),
    [
        ("train", "trainer", ["--target", "app.log"]),
        ("agent", "agent", ["--config", "agent.yaml"]),
        ("demo", "trainer", []),
        ("demo", "agent", []),
    ],
)
@pytest.mark.parametrize("rank", [0, -1], ids=["first", "last"])
def test_a_missing_extra_is_one_line_and_exit_2(
    command: str,
    extra: str,
    arguments: list[str],
    rank: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every module of the extra counts, and the line says how to install it; nothing was started before."""
    monkeypatch.chdir(tmp_path)
    Path("agent.yaml").write_text("systems: [{topics: [raw], spec: {name: orders}}]\n")
    monkeypatch.setitem(sys.modules, MODULES[extra][rank], None)
    assert run([command, *arguments]) == 2
    assert capsys.readouterr() == (
        "",
        f"fusionlog: fusionlog {command} needs the extra '{extra}': pip install 'fusionlog[{extra}]'\n",
    )


def test_an_extra_that_is_imported_already_is_there() -> None:
    """Also Faust, which replaces its own module when it is imported."""
    import faust  # noqa: F401

    require_extra("agent", "agent")


def test_the_agent_runs_without_the_packages_of_the_trainer(servers: str, tmp_path: Path) -> None:
    """With them hidden the agent starts on the embedded broker, gets its partitions, and ends with 0 on SIGTERM."""
    port = free_port()
    config = tmp_path / "agent.yaml"
    settings = {
        "kafka": {"bootstrap_servers": servers},
        "systems": [{"topics": ["raw"], "spec": {"name": "orders"}}],
        "model": {"wait_seconds": 0},
        "http": {"host": "127.0.0.1", "port": port},
    }
    config.write_text(yaml.safe_dump(settings))
    command = program(["agent", "--config", str(config)], MODULES["trainer"])
    with ManagedProcess(command, tmp_path / "log", name="agent", environment=import_path()) as agent:
        agent.wait_until(lambda: answers(port, "live") and answers(port, "ready"), "readiness", START_SECONDS)
        assert agent.stop() == 0, agent.log


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["topics", "ls"], ["models", "ls"], ["tap", "alerts", "--until-end"]],
    ids=" ".join,
)
def test_light_commands_import_no_heavy_library(arguments: list[str], servers: str) -> None:
    """Help, and whatever only asks the broker, answer without loading torch or the libraries of agent and trainer."""
    asked = [] if arguments[-1] == "--help" or arguments[0] == "topics" else ["--bootstrap-servers", servers]
    loaded = f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        program([*arguments, *asked], after=loaded), capture_output=True, text=True, check=False, timeout=START_SECONDS
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")


def answers(port: int, page: str) -> bool:
    """Whether the agent answers a page with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
