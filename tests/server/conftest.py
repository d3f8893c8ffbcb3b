"""The server around an echo: over real sockets, or one connection without any."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from app.api.middleware import RequestContext
from app.server.connections import ConnectionLimiter
from app.server.draining import DrainingServer
from app.server.protocol import StrictHttpProtocol
from tests.support.fakes import RecordedEvents
from tests.support.serving import served

TIMEOUT = 30.0


@dataclass(frozen=True)
class Received:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def echo(self) -> dict[str, Any]:
        """What the application received, or the problem."""
        echo: dict[str, Any] = json.loads(self.body)
        return echo


@dataclass
class Echo:
    """The application. `reached` lists the paths of the requests that it received."""

    reached: list[str] = field(default_factory=list)
    events: RecordedEvents = field(default_factory=RecordedEvents)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def app(self) -> ASGIApp:
        return RequestContext(self._echo, self.events)

    async def _echo(self, request: Request) -> Response:
        """Return the request; on `/hold` only after `release`."""
        scope = request.scope
        self.reached.append(scope["path"])
        if scope["path"] == "/hold":
            self.held.set()
            await self.release.wait()
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        seen = {
            "method": scope["method"],
            "version": scope["http_version"],
            "target": (scope["raw_path"] + query).decode(),
            "headers": [
                [name.decode(), value.decode("latin-1")] for name, value in scope["headers"]
            ],
            "body": (await request.body()).decode(),
        }
        return JSONResponse(seen)


# --- one connection without a socket ---


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 80)})
        self.written = bytearray()
        self.closed = self.aborted = self.reading_paused = False
        self.half_closings = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written += data

    def write_eof(self) -> None:
        self.half_closings += 1

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False


class FakeConnection:
    """A connection to an echo, inside the running loop."""

    def __init__(self) -> None:
        self.echo, self.transport = Echo(), FakeTransport()
        config = uvicorn.Config(self.echo.app, lifespan="off", ws="none", log_config=None)
        config.load()
        self.state = ServerState()
        self.now = 0.0
        self.limiter = ConnectionLimiter(1, deadline=10, keep_alive=60, clock=lambda: self.now)
        self.protocol = StrictHttpProtocol(self.limiter, lambda: False, config, self.state, {})
        self.protocol.connection_made(self.transport)

    @property
    def expires_at(self) -> float | None:
        """When it is evicted; None while the response is made."""
        return (self.limiter._waiting | self.limiter._idle).get(self.protocol)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.protocol.data_received(piece)

    async def responses(self) -> list[Received]:
        """Release held responses, and return all when every task has ended."""
        self.echo.release.set()
        while self.state.tasks:
            await asyncio.wait(set(self.state.tasks))
        return responses(bytes(self.transport.written))


async def exchange(*pieces: bytes) -> list[Received]:
    """Send bytes, and return every response."""
    connection = FakeConnection()
    connection.send(*pieces)
    found = await connection.responses()
    connection.protocol.connection_lost(None)
    return found


# --- over sockets ---


@dataclass
class EchoServer(Echo):
    port: int = 0
    server: DrainingServer = field(init=False)
    running: asyncio.Task[None] = field(init=False)

    async def say(self, *pieces: bytes) -> list[Received]:
        """Send, and read until the server closes the connection."""
        async with self.connected() as (reader, writer):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            return responses(await until_end(reader))

    def signal(self, number: signal.Signals) -> None:
        self.server.handle_exit(number, None)

    def has_stopped_accepting(self) -> bool:
        return not any(each.is_serving() for each in self.server.servers)

    async def stopped(self) -> None:
        """Wait until the server has stopped by itself."""
        async with asyncio.timeout(TIMEOUT):
            await self.running

    def connections(self) -> list[StrictHttpProtocol]:
        return [
            c for c in self.server.server_state.connections if isinstance(c, StrictHttpProtocol)
        ]

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


Serve: TypeAlias = Callable[..., Awaitable[EchoServer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server, with more arguments of `DrainingServer`."""
    async with AsyncExitStack() as stack:

        async def serve(**options: Any) -> EchoServer:
            return await stack.enter_async_context(serving(**options))

        yield serve


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[EchoServer]:
    echo = EchoServer()
    async with served(echo.app, **options) as running:
        echo.server, echo.running, echo.port = running.server, running.running, running.port
        yield echo
        echo.release.set()


async def until_end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(TIMEOUT):
        return await reader.read()


async def until_end_or_reset(reader: asyncio.StreamReader) -> bytes:
    with suppress(ConnectionError):
        return await until_end(reader)
    return b""


async def next_response(reader: asyncio.StreamReader) -> Received:
    """The next response on a connection that is kept."""
    async with asyncio.timeout(TIMEOUT):
        head = await reader.readuntil(b"\r\n\r\n")
        (response,) = responses(head)
        length = int(response.headers.get("content-length", "0"))
        return Received(response.status, response.headers, await reader.readexactly(length))


def responses(raw: bytes) -> list[Received]:
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers.get("content-length", "0"))
        found.append(Received(int(status.split()[1]), headers, raw[:length]))
        raw = raw[length:]
    return found
