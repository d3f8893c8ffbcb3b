"""What the response cycle makes of an application that does not keep to ASGI or to HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl

from app.server.cycle import ResponseCycle
from tests.server.conftest import FakeTransport

OK: Message = {"type": "http.response.start", "status": 200, "headers": []}
LAST: Message = {"type": "http.response.body", "body": b""}


def part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


def sending(*messages: Message, then: Callable[[], object] = lambda: None) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        then()

    return app


async def written_by(app: ASGIApp) -> tuple[bytes, bool]:
    """Return the bytes of a response, and whether the connection was closed."""
    transport: Any = FakeTransport()
    scope = {"method": "GET", "http_version": "1.1"}
    kept: list[bool] = []

    def end(*, keep_alive: bool) -> None:
        kept.append(keep_alive)

    flow = FlowControl(transport)
    cycle = ResponseCycle(
        scope, b"", transport, flow, keep_alive=True, default_headers=[], on_end=end
    )
    await cycle.run(app)
    return bytes(transport.written), kept == [False]


async def test_a_response_of_unknown_length_goes_out_in_chunks() -> None:
    written, closed = await written_by(sending(OK, part(b"one"), part(b""), LAST))
    assert written.endswith(b"\r\n\r\n3\r\none\r\n0\r\n\r\n")
    assert b"transfer-encoding: chunked\r\n" in written
    assert not closed


async def test_a_second_receive_waits_for_the_end_of_the_response() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await sending(OK, LAST)(scope, receive, send)
        found.extend([await waiting, await receive()])

    found: list[Message] = []
    await written_by(app)
    assert found == [{"type": "http.disconnect"}] * 2


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_an_error_in_a_response_closes_the_connection(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def stumble() -> None:
        raise error

    _, closed = await written_by(sending(OK, part(b"one"), then=stumble))
    assert closed
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb"])
async def test_a_header_field_with_a_line_break_is_not_sent(value: bytes) -> None:
    assert await written_by(sending({**OK, "headers": [(b"location", value)]}, LAST)) == (b"", True)


async def test_an_application_that_still_receives_after_its_response_is_told_of_the_end() -> None:
    received: list[Message] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        for message in (OK, LAST):
            await send(message)
        received.extend([await receive(), await receive()])

    await written_by(app)
    assert [message["type"] for message in received] == ["http.request", "http.disconnect"]
