"""Models that are published while the agent runs: swapped in, or refused while the old one serves."""

import hashlib
import json
from pathlib import Path
from typing import Any

from detector.system import WindowSpec
from detector.testing import ANOMALOUS_LINES, NORMAL_LINES, SYSTEM, tiny_files
from testkit.kafka_bed import AgentProcess, KafkaBed
from testkit.processes import wait_until

START_MS = 1_700_000_000_000


class Orders:
    """Produces complete orders, one after the other, each later than the one before closes."""

    def __init__(self, bench: KafkaBed) -> None:
        self._bench = bench
        self._count = 0

    def send(self, *, anomalous: bool) -> str:
        """An order and a keyless line that closes it; its key."""
        self._count += 1
        key = str(1000 + self._count)
        start_ms = START_MS + self._count * 1_000_000
        lines = [*NORMAL_LINES[:2], *(ANOMALOUS_LINES if anomalous else NORMAL_LINES[2:])]
        records = [(0, line.replace("17", key).encode(), start_ms + at * 1_000) for at, line in enumerate(lines)]
        self._bench.produce([*records, (0, b"tick", start_ms + 500_000)])
        return key

    def window(self, key: str) -> dict[str, Any]:
        """The closed window of an order, once it is there."""

        def found() -> list[Any]:
            return [record for record in self._bench.records(self._bench.topics.windows) if record["key"] == key]

        window: dict[str, Any] = wait_until(found, f"the window of order {key}")[0]
        return window


def cut_short(files: dict[str, bytes]) -> dict[str, bytes]:
    """An artifact whose tensors end early, with a manifest that fits them: hashes alone do not show it."""
    tensors = files["model.safetensors"][:-1_000]
    manifest = json.loads(files["manifest.json"])
    manifest["files"]["model.safetensors"] = {"sha256": hashlib.sha256(tensors).hexdigest(), "bytes": len(tensors)}
    return {**files, "model.safetensors": tensors, "manifest.json": json.dumps(manifest).encode()}


def statuses(bench: KafkaBed) -> list[tuple[int, str]]:
    """(version, result) of the status records, in order."""
    found = sorted(bench.records(bench.topics.models_status), key=lambda record: record["time_ms"])
    return [(record["version"], record["result"]) for record in found]


def test_models_are_swapped_and_bad_ones_refused_while_lines_flow(bench: KafkaBed, tmp_path: Path) -> None:
    """Baseline, version 1, then an altered, a cut and a foreign model that are refused, then version 7: in one life."""
    orders = Orders(bench)
    with AgentProcess(bench, tmp_path, model={"wait_seconds": 0}) as agent:
        agent.wait_for_log("the baseline serves")
        window = orders.window(orders.send(anomalous=True))
        assert (window["model"]["version"], window["anomalous"]) == (0, False), "the baseline warms up"

        first = bench.publish(tiny_files(), 1)
        wait_until(lambda: (1, "loaded") in statuses(bench), "version 1 loaded")
        window = orders.window(orders.send(anomalous=True))
        assert (window["model"]["version"], window["model"]["sha256"], window["anomalous"]) == (1, first, True)
        assert orders.window(orders.send(anomalous=False))["anomalous"] is False

        bench.publish(tiny_files(seed=2), 2, corrupt=True)
        wait_until(lambda: 2 in [version for version, _ in statuses(bench)], "version 2 tried")
        assert orders.window(orders.send(anomalous=True))["model"]["version"] == 1

        bench.publish(cut_short(tiny_files(seed=5)), 5)
        wait_until(lambda: (5, "refused") in statuses(bench), "version 5 refused")

        other = SYSTEM.model_copy(update={"window": WindowSpec(kind="session", idle_seconds=5)})
        bench.publish(tiny_files(spec=other), 6)
        wait_until(lambda: (6, "refused") in statuses(bench), "version 6 refused")
        window = orders.window(orders.send(anomalous=True))
        assert (window["model"]["version"], window["anomalous"]) == (1, True)

        bench.publish(tiny_files(seed=4), 7)
        wait_until(lambda: (7, "loaded") in statuses(bench), "version 7 loaded")
        assert orders.window(orders.send(anomalous=True))["model"]["version"] == 7
        _, metrics = agent.get("/metrics")
        assert 'fusionlog_model_loads_total{result="refused",system="orders"} 2.0' in metrics
        assert 'labeller="heuristic"' in metrics
        assert 'version="7"' in metrics
        assert agent.terminate() == 0, agent.log
    assert (2, "loaded") not in statuses(bench)
    alerts = {record["id"]: record for record in bench.records(bench.topics.alerts)}
    assert {record["data"]["model"]["version"] for record in alerts.values()} == {1, 7}
    message = bench.read(bench.topics.alerts)[0]
    headers = dict(message.headers())
    assert headers["ce_type"] == b"io.fusionlog.alert.v1"
    assert message.key().decode() == alerts[headers["ce_id"].decode()]["data"]["fingerprint"]


def test_an_idle_window_is_closed_by_the_clock_when_caught_up(bench: KafkaBed, tmp_path: Path) -> None:
    """With nothing more to come, the clock closes a window after its idle time."""
    brief = SYSTEM.model_copy(update={"window": WindowSpec(kind="session", idle_seconds=1)})
    bench.publish(tiny_files(spec=brief), 1)
    bench.produce([(0, line.encode(), START_MS + at) for at, line in enumerate(NORMAL_LINES)])
    systems = [{"topics": [bench.raw], "spec": brief.model_dump(mode="json")}]
    with AgentProcess(bench, tmp_path, systems=systems, close_idle_by_clock=True) as agent:
        (window,) = wait_until(lambda: bench.records(bench.topics.windows), "the window closed")
        assert (window["closed_by"], window["offsets"]) == ("idle", [0, 1, 2, 3])
        assert agent.terminate() == 0, agent.log
