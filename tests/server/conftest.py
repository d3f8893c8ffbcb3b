"""A real server on a real socket, over each of uvicorn's parsers, around an echo."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias, get_args

import pytest
import pytest_asyncio
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.middleware import RejectEarly, RequestContext
from app.server.draining import Drain, DrainingServer, bind, build_server
from app.server.protocol import Parser

PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def echo(self) -> dict[str, Any]:
        """What the application has seen, or the problem."""
        echo: dict[str, Any] = json.loads(self.body)
        return echo


@dataclass
class House:
    """The server, and what got as far as the application."""

    parser: Parser
    reached: list[str] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    server: DrainingServer | None = None
    running: asyncio.Task[None] | None = None

    @property
    def application(self) -> ASGIApp:
        return RequestContext(RejectEarly(self.echo), log=self.record)

    def record(self, event: str, *, error: Exception | None = None, **fields: str | int) -> None:
        self.lines.append({"event": event, "error": error, **fields})

    async def echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say what has come; on `/hold` not before the test releases it."""
        self.reached.append(scope["path"])
        if scope["path"] == "/hold":
            self.held.set()
            await self.release.wait()
        message = await receive()
        assert not message["more_body"]
        target = scope["raw_path"] + (
            b"?" + scope["query_string"] if scope["query_string"] else b""
        )
        seen = {
            "method": scope["method"],
            "target": target.decode(),
            "headers": [
                [name.decode(), value.decode("latin-1")] for name, value in scope["headers"]
            ],
            "body": message["body"].decode(),
        }
        body = json.dumps(seen).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def say(self, *pieces: bytes) -> list[Answer]:
        """Send, and read until the server closes the connection."""
        async with self.connected() as (reader, writer):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            return answers(await until_end(reader))

    async def refuses(self) -> None:
        """Wait until no new connection is accepted."""
        with suppress(ConnectionError):
            while True:
                async with self.connected():
                    await asyncio.sleep(0.01)

    async def left(self) -> None:
        """Wait until the server has left by itself."""
        assert self.running is not None
        async with asyncio.timeout(PATIENCE):
            await self.running

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


Serve: TypeAlias = Callable[..., Awaitable[House]]


@pytest.fixture(params=get_args(Parser))
def parser(request: pytest.FixtureRequest) -> Parser:
    chosen: Parser = request.param
    return chosen


@pytest.fixture
async def serve(parser: Parser) -> AsyncIterator[Serve]:
    """Start a server, with more arguments of `build_server`."""
    async with AsyncExitStack() as stack:

        async def serve(**options: Any) -> House:
            return await stack.enter_async_context(serving(parser, **options))

        yield serve


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=get_args(Parser))
async def open_house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """One for all tests of a module, because starting and leaving takes a quarter of a second."""
    async with serving(request.param) as house:
        yield house


@pytest.fixture
def house(open_house: House) -> House:
    for kept in (open_house.reached, open_house.lines):
        kept.clear()
    open_house.held, open_house.release = asyncio.Event(), asyncio.Event()
    return open_house


@asynccontextmanager
async def serving(parser: Parser, **options: Any) -> AsyncIterator[House]:
    house = House(parser)
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    settings: dict[str, Any] = {
        "drain": Drain(),
        "drain_delay": 0,
        "shutdown_timeout": 5,
        "on_start": started.set_result,
    } | options
    house.server = build_server(house.application, parser=parser, **settings)
    with bind("127.0.0.1", 0) as listener:
        house.running = asyncio.create_task(house.server.serve(sockets=[listener]))
        house.port = await started
        yield house
        house.release.set()
        house.server.should_exit = True
        await house.running


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not seen():  # noqa: ASYNC110  # what is looked at has no event
            await asyncio.sleep(0.01)


async def until_end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await reader.read()


async def one_answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer on a connection that is kept."""
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
        (answer,) = answers(head)
        length = int(answer.headers.get("content-length", "0"))
        return Answer(answer.status, answer.headers, await reader.readexactly(length))


def answers(raw: bytes) -> list[Answer]:
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers.get("content-length", "0"))
        found.append(Answer(int(status.split()[1]), headers, raw[:length]))
        raw = raw[length:]
    return found
