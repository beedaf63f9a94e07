"""The agent's HTTP server, on its own event loop: `/metrics`, `/live`, `/ready`.

An answer shows that the loop runs; the server listens on loopback unless the settings say otherwise.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from agent.errors import AgentError, redacted_traceback
from agent.metrics import Metrics
from agent.timeouts import DEFAULT_TIMEOUTS, Timeouts
from agent.web.health import Health

# aiohttp logs each malformed request with a stack; our own errors are logged in `_answer`.
_SILENT = logging.Logger("silent", logging.CRITICAL)  # noqa: LOG001 - outside the tree of loggers: its own alone
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthServer:
    """Serves the probes, which are called at each request; port 0 takes any free one."""

    def __init__(
        self,
        host: str,
        port: int,
        metrics: Metrics,
        live: Callable[[], Health],
        ready: Callable[[], Health],
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        self._host, self._port = host, port
        self._metrics = metrics
        self._probes = {"/live": live, "/ready": ready}
        self._request_seconds = timeouts.request_seconds
        self._runner: web.ServerRunner | None = None

    async def start(self) -> int:
        """Listen; the port.

        Raises:
            AgentError: the port is taken or the host is not of this machine.
        """
        server = _BoundedServer(self._answer, self._request_seconds)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=self._request_seconds)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self.stop()
            raise AgentError(f"http.port must be free on {self._host}, got {self._port}: {error.strerror}") from error
        port: int = self._runner.addresses[0][1]
        structlog.get_logger(__name__).info("probes are served", host=self._host, port=port)
        return port

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            response = self._response(request)
        except Exception as error:  # noqa: BLE001
            structlog.get_logger(__name__).error("probe has failed", exception=redacted_traceback(error))
            response = web.Response(status=500)
        response.force_close()  # a connection serves one request, so that its time is bounded
        return response

    def _response(self, request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, content_type="text/plain")
        if request.path == "/metrics":
            return web.Response(body=self._metrics.exposition(), headers={"Content-Type": METRICS_TYPE})
        probe = self._probes.get(request.path)
        if probe is None:
            return web.Response(status=404, body=b"/metrics, /live and /ready are here\n", content_type="text/plain")
        health = probe()
        body = json.dumps({"ok": health.ok, **health.detail}).encode() + b"\n"
        return web.Response(status=200 if health.ok else 503, body=body, content_type="application/json")


class _BoundedServer(web.Server):
    """Closes each connection after a while: aiohttp waits for the rest of a request without a bound."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], seconds: float) -> None:
        super().__init__(handler, access_log=None, logger=_SILENT)
        self._seconds = seconds

    def __call__(self) -> web.RequestHandler:
        connection = super().__call__()
        asyncio.get_running_loop().call_later(self._seconds, connection.force_close)
        return connection
