"""Probes and metrics over HTTP, and what liveness means."""

import asyncio

import pytest

from agent.errors import AgentError
from agent.metrics import Metrics
from agent.timeouts import Timeouts
from agent.web.health import Health, Progress
from agent.web.server import HealthServer


async def ask(port: int, request: str) -> str:
    """Answer to a request line, or to whatever is sent instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write((f"{request}\r\nHost: x\r\n\r\n" if "HTTP/1.1" in request else request).encode())
    await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer.decode()


def server(port: int = 0, timeouts: Timeouts | None = None) -> HealthServer:
    """A server whose live probe passes and whose ready probe does not."""
    metrics = Metrics()
    metrics.records_consumed.labels("orders").inc(3)
    return HealthServer(
        "127.0.0.1", port, metrics, lambda: Health(True, {"a": 1}), lambda: Health(False, {}), timeouts or Timeouts()
    )


async def test_probes_and_metrics_are_served() -> None:
    """A probe that passes answers 200, one that does not 503; metrics are Prometheus'; other paths are 404."""
    probes = server()
    port = await probes.start()
    try:
        live = await ask(port, "GET /live HTTP/1.1")
        assert live.startswith("HTTP/1.1 200")
        assert "Content-Type: application/json\r\n" in live
        assert live.endswith('\r\n\r\n{"ok": true, "a": 1}\n')
        assert (await ask(port, "HEAD /live HTTP/1.1")).endswith("\r\n\r\n")
        ready = await ask(port, "GET /ready?x HTTP/1.1")
        assert ready.startswith("HTTP/1.1 503")
        assert ready.endswith('{"ok": false}\n')
        metrics = await ask(port, "GET /metrics HTTP/1.1")
        assert "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in metrics
        assert 'fusionlog_records_consumed_total{system="orders"} 3.0' in metrics
        missing = await ask(port, "GET /etc/passwd HTTP/1.1")
        assert missing.startswith("HTTP/1.1 404")
        assert missing.endswith("/metrics, /live and /ready are here\n")
        assert (await ask(port, "POST /live HTTP/1.1")).startswith("HTTP/1.1 405")
        assert (await ask(port, "x" * 20_000)).startswith("HTTP/1.0 400")
    finally:
        await probes.stop()


async def test_a_port_that_is_taken_is_an_error_that_names_the_setting() -> None:
    """The agent does not start without its probes."""
    first = server()
    port = await first.start()
    try:
        with pytest.raises(AgentError, match=rf"http\.port must be free on 127\.0\.0\.1, got {port}"):
            await server(port).start()
    finally:
        await first.stop()


async def test_a_client_that_never_finishes_its_request_is_disconnected() -> None:
    """A connection without a complete request is closed after a while, so that no client can hold many."""
    probes = server(timeouts=Timeouts(request_seconds=0.05))
    port = await probes.start()
    try:
        assert await asyncio.wait_for(ask(port, "GET /live HTT"), 30) == ""
    finally:
        await probes.stop()


def test_liveness_is_no_lag_or_a_position_that_moves() -> None:
    """A position that does not move is healthy without lag; with lag it is healthy for a while only."""
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
