"""Serves the Prometheus metrics on a port of their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.errors import StartupError

_MAX_CONNECTIONS = 16
_HEAD = (
    f"HTTP/1.1 {{}}\r\nContent-Type: {CONTENT_TYPE_PLAIN_0_0_4}\r\n"
    "Content-Length: {}\r\nConnection: close\r\n\r\n"
)


@asynccontextmanager
async def serve(
    render: Callable[[], Awaitable[bytes]], host: str, port: int, *, deadline: float = 5
) -> AsyncIterator[None]:
    """Serve `/metrics` while the context is open; StartupError if the port is not free.

    Each connection is for one request and ends within `deadline` seconds. At 16 connections, the
    oldest is closed, so that idle connections cannot block a scrape.
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
                request = await reader.readuntil(b"\r\n\r\n")
                found = request.startswith((b"GET /metrics ", b"GET /metrics?"))
                body = await render() if found else b""
                status = "200 OK" if found else "404 Not Found"
                writer.write(_HEAD.format(status, len(body)).encode() + body)
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
