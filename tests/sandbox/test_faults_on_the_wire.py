"""Faults under uvicorn on a real socket, with the parser of the server."""

import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from app.sandbox import Consent, Fault, Sandbox


@asynccontextmanager
async def serving(sandbox: Sandbox) -> AsyncIterator[int]:
    """Serve on a free port; at the end, every request has been handled."""
    config = uvicorn.Config(sandbox.app, http="httptools", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def request(sandbox: Sandbox, ticket: str) -> bytes:
    options = sandbox.state.options
    body = json.dumps({"ticket": ticket, "secret": options.user_pool_secret}).encode()
    head = (
        f"POST /oauth/app2wxapp/auth/{options.user_pool_id} HTTP/1.1\r\n"
        "Host: authing.test\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def everything_said(sandbox: Sandbox) -> bytes:
    async with serving(sandbox) as port, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(sandbox, sandbox.state.issue(Consent())))
        said = await reader.read()  # to the end of the connection, not of the answer
        writer.close()
        await writer.wait_closed()
    return said


@pytest.fixture(autouse=True)
def _no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """uvicorn must not see a fault as an error of the application."""
    yield
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_a_truncated_answer_closes_in_the_middle_of_its_body(sandbox: Sandbox) -> None:
    sandbox.state.fault = Fault("truncated")
    said = await everything_said(sandbox)
    head, _, body = said.partition(b"\r\n\r\n")
    promised = re.search(rb"(?i)content-length: (\d+)", head)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert promised
    assert len(body) == int(promised[1]) // 2


async def test_a_drop_closes_the_connection_without_a_byte(sandbox: Sandbox) -> None:
    sandbox.state.fault = Fault("drop")
    assert await everything_said(sandbox) == b""


async def test_a_client_that_disconnects_from_a_slow_exchange_keeps_the_ticket(
    sandbox: Sandbox,
) -> None:
    ticket, later = (sandbox.state.issue(Consent()) for _ in range(2))
    sandbox.state.fault = Fault("slow", times=1, seconds=0.3)
    async with serving(sandbox) as port, asyncio.timeout(5):
        _, leaving = await asyncio.open_connection("127.0.0.1", port)
        leaving.write(request(sandbox, ticket))
        reader, other = await asyncio.open_connection("127.0.0.1", port)
        other.write(request(sandbox, later))
        await reader.readuntil(b"}")  # a later one is served: the first has been read
        for writer in (leaving, other):
            writer.close()
            await writer.wait_closed()
    assert sandbox.state.tickets[ticket].attempts == 1
    assert sandbox.state.tickets[ticket].logins == 0
