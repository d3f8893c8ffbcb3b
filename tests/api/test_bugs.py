"""Bugs: the response has our shape, and the log has their types and places only."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.api.error_scenarios import CANARY, login_with_a_bug_of_ours
from tests.support.running_app import RunningApp, phone_of

LogLines: TypeAlias = Callable[[], list[dict[str, Any]]]


async def test_a_bug_is_logged_by_type_and_place_without_its_text(
    app: RunningApp, log_lines: LogLines
) -> None:
    response = await login_with_a_bug_of_ours(app)
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert CANARY not in response.text
    line = next(line for line in log_lines() if line["event"] == "request")
    assert (line["level"], line["status"], line["code"]) == ("error", 500, "internal_error")
    assert line["request_id"] == response.headers["X-Request-Id"]
    (exception,) = line["exception"]
    assert exception["type"] == "LookupError"
    assert exception["at"][-1].endswith(" exchange")
    assert CANARY not in str(log_lines())


async def test_a_status_of_the_framework_that_we_do_not_use_is_a_bug(app: RunningApp) -> None:
    async def teapot(_request: Request) -> Response:
        raise HTTPException(418, CANARY)

    async with phone_of(app.serve(extra_routes=[Route("/teapot", teapot)])) as phone:
        response = await phone.get("/teapot")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert CANARY not in response.text


async def test_a_response_that_has_begun_is_cut_off_after_a_bug(
    app: RunningApp, log_lines: LogLines
) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"half of the"
        raise LookupError(CANARY)

    async def begin(_request: Request) -> Response:
        return StreamingResponse(half())

    async with phone_of(app.serve(extra_routes=[Route("/begin", begin)])) as phone:
        with pytest.raises(LookupError):
            await phone.get("/begin")
    line = next(line for line in log_lines() if line["event"] == "request")
    assert (line["level"], line["status"]) == ("error", 200)
    assert line["exception"][0]["type"] == "LookupError"


async def served_to(app: ASGIApp, scope: Scope, *received: Message) -> list[Message]:
    incoming, sent = iter(received), list[Message]()

    async def receive() -> Message:
        return next(incoming)

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "query_string": b"", "headers": [], **scope}, receive, send)
    return sent


class _CutOff(Response):
    """Begins, and is cancelled as the server stops."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise asyncio.CancelledError


async def test_a_response_that_has_begun_is_not_begun_again_when_the_server_stops(
    app: RunningApp, log_lines: LogLines
) -> None:
    async def begin(_request: Request) -> Response:
        return _CutOff()

    service = app.serve(extra_routes=[Route("/begin", begin)])
    whole = {"type": "http.request", "body": b"", "more_body": False}
    (start,) = await served_to(service, {"method": "GET", "path": "/begin"}, whole)
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert [line["status"] for line in log_lines() if line["event"] == "request"] == [200]


async def test_a_phone_that_hangs_up_in_the_middle_of_its_body_is_no_bug_of_ours(
    app: RunningApp, log_lines: LogLines
) -> None:
    path = "/v1/sessions"
    scope: Scope = {"method": "POST", "path": path, "raw_path": path.encode()}
    scope["headers"] = [(b"content-type", b"application/json")]
    half = {"type": "http.request", "body": b'{"ticket":', "more_body": True}
    await served_to(app.serve(), scope, half, {"type": "http.disconnect"})
    (line,) = log_lines()
    assert line["event"] == "request"
    assert line["level"] != "error"
    assert "exception" not in line
