"""Faults under uvicorn on a real socket, with the parser of the server."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.sandbox import Consent, Fault, Sandbox
from app.sandbox.state import DeskFaults


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """Serve on a free port; at the end, every request has been handled."""
    config = uvicorn.Config(app, http="httptools", log_config=None)
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
        "Host: authing.test\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def whole_answer(sandbox: Sandbox, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(sandbox, sandbox.state.issue(Consent())))
    await reader.readuntil(b"}")
    writer.close()
    await writer.wait_closed()


async def everything_said(sandbox: Sandbox, ticket: str) -> bytes:
    async with serving(sandbox.app) as port, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(sandbox, ticket))
        said = await reader.read()  # to the end of the connection, not of the answer
        writer.close()
        await writer.wait_closed()
    return said


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_truncated_answer_closes_in_the_middle_of_its_body(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = sandbox.state.issue(Consent())
    sandbox.state.fault = Fault("truncated")
    head, _, body = (await everything_said(sandbox, ticket)).partition(b"\r\n\r\n")
    promised = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(body) == promised // 2
    assert complaints(caplog) == []


async def test_a_drop_closes_the_connection_without_a_byte(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.state.fault = Fault("drop")
    assert await everything_said(sandbox, sandbox.state.issue(Consent())) == b""
    assert complaints(caplog) == []


async def test_a_dropped_answer_of_the_service_closes_the_connection_without_a_byte(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    performed: list[bytes] = []

    async def service(_scope: Scope, receive: Receive, send: Send) -> None:
        performed.append((await receive())["body"])
        await Response("a body")(_scope, receive, send)

    sandbox.state.answers = DeskFaults(answers="dropped")
    around = sandbox.around(service, lambda *_: service)
    async with serving(around) as port, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert performed == [b"hi"]
    assert complaints(caplog) == []


async def test_a_client_that_disconnects_from_a_slow_exchange_keeps_the_ticket(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = sandbox.state.issue(Consent())
    sandbox.state.fault = Fault("slow", times=1, seconds=0.3)
    async with serving(sandbox.app) as port, asyncio.timeout(5):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(sandbox, ticket))
        await whole_answer(sandbox, port)  # a later one is served: the first has been read
        writer.close()
        await writer.wait_closed()
    assert sandbox.state.tickets[ticket].attempts == 1
    assert sandbox.state.tickets[ticket].logins == 0
    assert complaints(caplog) == []
