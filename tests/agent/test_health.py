"""Probes and metrics over HTTP, and what liveness means."""

import asyncio

import pytest

from agent.errors import AgentError
from agent.metrics import Metrics
from agent.web.health import Health, HealthServer, Progress


async def ask(port: int, request: str) -> str:
    """Answer to a raw request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer.decode()


async def test_probes_and_metrics_are_served() -> None:
    """A probe that holds answers 200, one that does not 503; metrics are Prometheus'; nothing else is there."""
    metrics = Metrics()
    metrics.records_consumed.labels("orders").inc(3)
    server = HealthServer("127.0.0.1", 0, metrics, lambda: Health(True, {"a": 1}), lambda: Health(False, {}))
    port = await server.start()
    try:
        assert (await ask(port, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n")).startswith("HTTP/1.1 200")
        assert (await ask(port, "GET /ready?x HTTP/1.1\r\n\r\n")).startswith("HTTP/1.1 503")
        assert 'fusionlog_records_consumed_total{system="orders"} 3.0' in await ask(
            port, "GET /metrics HTTP/1.1\r\n\r\n"
        )
        assert (await ask(port, "GET /etc/passwd HTTP/1.1\r\n\r\n")).startswith("HTTP/1.1 404")
        assert (await ask(port, "POST /live HTTP/1.1\r\n\r\n")).startswith("HTTP/1.1 405")
        assert await ask(port, "x" * 20_000) == ""
        with pytest.raises(AgentError, match=r"http\.port must be free"):
            await HealthServer("127.0.0.1", port, metrics, lambda: Health(True, {}), lambda: Health(True, {})).start()
    finally:
        await server.stop()


def test_liveness_is_no_lag_or_a_position_that_moves() -> None:
    """Standing still is fine without lag; with lag it is fine for a while only."""
    now = [0.0]
    progress = Progress(10, clock=lambda: now[0])
    assert progress.observe({"p": 1}, 0).ok
    now[0] = 100
    assert progress.observe({"p": 1}, 0).ok
    assert progress.observe({"p": 1}, 50).ok
    now[0] = 109
    assert progress.observe({"p": 2}, 50).ok
    now[0] = 118
    assert progress.observe({"p": 2}, 50).ok
    now[0] = 120
    assert not progress.observe({"p": 2}, 50).ok
    assert progress.observe({"p": 3}, 49).ok
