"""A small HTTP server on the agent's own event loop: `/metrics`, `/live`, `/ready`.

That it answers shows that the loop ticks; it is bound to loopback unless told otherwise.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agent.errors import AgentError
from agent.metrics import Metrics

REQUEST_BYTES = 8_192
REQUEST_SECONDS = 5.0


@dataclass(frozen=True)
class Health:
    """What a probe is told: whether it holds, and the reasons in words."""

    ok: bool
    detail: dict[str, object]


class Progress:
    """Liveness: no lag, or a position that moved within `stalled_seconds`."""

    def __init__(self, stalled_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stalled_seconds = stalled_seconds
        self._clock = clock
        self._moved_at = clock()
        self._positions: dict[object, int] = {}

    def observe(self, positions: dict[object, int], lag: int) -> Health:
        """Judge the positions and the lag of all partitions now."""
        now = self._clock()
        if lag <= 0 or positions != self._positions:
            self._moved_at = now
            self._positions = dict(positions)
        still = now - self._moved_at
        return Health(still < self._stalled_seconds, {"lag_records": lag, "seconds_without_progress": round(still, 1)})


class HealthServer:
    """Serves the probes.

    Args:
        host, port: where; port 0 takes any free one.
        metrics: what `/metrics` shows.
        live, ready: the probes, asked at each request.
    """

    def __init__(
        self, host: str, port: int, metrics: Metrics, live: Callable[[], Health], ready: Callable[[], Health]
    ) -> None:
        self._host, self._port = host, port
        self._metrics = metrics
        self._probes = {"/live": live, "/ready": ready}
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; the port.

        Raises:
            AgentError: the port is taken or the host is not of this machine.
        """
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=REQUEST_BYTES)
        except OSError as error:
            raise AgentError(f"http.port must be free on {self._host}, got {self._port}: {error.strerror}") from error
        port: int = self._server.sockets[0].getsockname()[1]
        structlog.get_logger(__name__).info("probes are served", host=self._host, port=port)
        return port

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_SECONDS)
            status, kind, body = self._answer(head.split(b"\r\n", 1)[0].decode("latin-1"))
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + body
            )
            await asyncio.wait_for(writer.drain(), REQUEST_SECONDS)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that does not speak HTTP, or has gone
        finally:
            writer.close()

    def _answer(self, request: str) -> tuple[str, str, bytes]:
        method, _, rest = request.partition(" ")
        path = rest.split(" ")[0].split("?")[0]
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed", "text/plain", b""
        if path == "/metrics":
            body = self._metrics.exposition()
            kind = "text/plain; version=0.0.4; charset=utf-8"
            return "200 OK", kind, body if method == "GET" else b""
        probe = self._probes.get(path)
        if probe is None:
            return "404 Not Found", "text/plain", b"/metrics, /live and /ready are here\n"
        health = probe()
        body = json.dumps({"ok": health.ok, **health.detail}).encode() + b"\n"
        return "200 OK" if health.ok else "503 Service Unavailable", "application/json", body
