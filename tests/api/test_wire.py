"""Responses over a real socket: HEAD without a body, and connections that close."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.server.draining import DrainingServer, bind
from tests.support.running_app import RunningApp


@pytest.fixture
async def port(app: RunningApp) -> AsyncIterator[int]:
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = DrainingServer(
        app.serve(),
        drain=app.drain,
        drain_delay=0,
        shutdown_timeout=1,
        keep_alive=60,
        on_start=started.set_result,
    )
    serving = asyncio.create_task(server.serve(sockets=[bind("127.0.0.1", 0)]))
    yield await started
    server.should_exit = True
    await serving


async def until_closed(port: int, *pieces: bytes) -> bytes:
    """Send, and read until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
        async with asyncio.timeout(2):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_head_sends_no_body(port: int) -> None:
    for path in ("/livez", "/readyz", "/v1/launch", "/.well-known/jwks.json"):
        request = f"HEAD {path} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n"
        head, _, body = (await until_closed(port, request.encode())).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == b""


async def test_the_server_does_not_tell_what_it_is(port: int) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n"
    assert b"\r\nserver:" not in (await until_closed(port, request)).lower()
