"""Prometheus metrics on a port of their own, counted from the same events as the log."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from typing_extensions import override

from app.errors import StartupError
from app.events import EventName, Events

_MAX_CONNECTIONS = 16


class CountedEvents(Events):
    """Counts each event of this process and passes it on."""

    def __init__(self, inner: Events) -> None:
        self._inner = inner
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self._requests = histogram(
            "ticketgate_request_seconds",
            "Requests by method, route template and status",
            ["method", "route", "status"],
        )
        self._exchanges = histogram(
            "ticketgate_upstream_exchange_seconds",
            "Exchanges of tickets at Authing by outcome",
            ["outcome"],
        )
        self._looks = counter(
            "ticketgate_user_looks", "Questions about users to Authing by outcome", ["outcome"]
        )
        self._sessions = counter(
            "ticketgate_session_events",
            "Events of sessions; detail is the reason of an end, or the kind of a reuse or replay",
            ["event", "detail"],
        )
        self._store = counter(
            "ticketgate_store_events",
            "Failed commands, by kind in detail, and writes that no replica confirmed in time",
            ["event", "detail"],
        )
        self._reloads = counter(
            "ticketgate_reloads", "Changed files that were taken over, or could not be", ["event"]
        )
        self._rate_limit_outages = counter(
            "ticketgate_rate_limit_outages",
            "How often the shared counts were out of reach, so that each process counted alone",
        )

    @override
    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        self._count(event, fields)
        self._inner.record(event, error=error, **fields)

    def _count(self, event: EventName, fields: Mapping[str, str | int]) -> None:
        seconds = int(fields.get("duration_ms", 0)) / 1000
        match event:
            case "request":
                labels = (fields[name] for name in ("method", "route", "status"))
                self._requests.labels(*labels).observe(seconds)
            case "exchange":
                self._exchanges.labels(fields["outcome"]).observe(seconds)
            case "user_looked_at":
                self._looks.labels(fields["outcome"]).inc()
            case "store_failed" | "write_unconfirmed":
                self._store.labels(event, fields.get("kind", "")).inc()
            case (
                "keys_reloaded" | "keys_reload_failed" | "secret_reloaded" | "secret_reload_failed"
            ):
                self._reloads.labels(event).inc()
            case "rate_limits_local":
                self._rate_limit_outages.inc()
            case _ if "session_id" in fields:
                detail = fields.get("reason", fields.get("kind", ""))
                self._sessions.labels(event, detail).inc()

    @asynccontextmanager
    async def served(self, host: str, port: int, *, deadline: float = 5) -> AsyncIterator[None]:
        """Serve `/metrics` while the context is open; StartupError if the port is not free.

        Each connection is for one request and ends within `deadline` seconds. At 16 connections,
        the oldest is closed, so that idle ones keep no scrape away.
        """
        connections: dict[asyncio.StreamWriter, None] = {}

        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(connections) == _MAX_CONNECTIONS:
                oldest = next(iter(connections))
                del connections[oldest]
                oldest.transport.abort()
            connections[writer] = None
            with suppress(OSError, EOFError, asyncio.LimitOverrunError):
                async with asyncio.timeout(deadline):
                    writer.write(self._response(await reader.readuntil(b"\r\n\r\n")))
                    writer.close()
                    await writer.wait_closed()
            writer.transport.abort()
            connections.pop(writer, None)

        try:
            server = await asyncio.start_server(respond, host, port, limit=8192)
        except OSError as error:
            message = f"METRICS_PORT: cannot listen on {host}:{port}: {error.strerror}"
            raise StartupError(message) from error
        try:
            yield
        finally:
            server.close()
            for writer in connections:
                writer.transport.abort()

    def _response(self, request: bytes) -> bytes:
        found = request.startswith((b"GET /metrics ", b"GET /metrics?"))
        body = generate_latest(self.registry) if found else b""
        head = f"""HTTP/1.1 {"200 OK" if found else "404 Not Found"}
Content-Type: {CONTENT_TYPE_PLAIN_0_0_4}
Content-Length: {len(body)}
Connection: close

"""
        return head.replace("\n", "\r\n").encode() + body
