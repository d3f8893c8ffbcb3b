"""The faults of an exchange. docs/sandbox.md says of each what the client sees.

In one process (`httpx.ASGITransport`) there is no connection: a drop raises ConnectionResetError
through the transport, and a truncated response ends early.
"""

import asyncio
import math

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.sandbox.state import Fault

_PORTAL = "<!doctype html><title>Wi-Fi</title><p>Please accept our terms."
_BUSY = "<!doctype html><title>503</title><p>Service Unavailable"


async def wait_if_slow(fault: Fault, request: Request) -> bool:
    """Wait if the fault is `slow`; return False if the client has disconnected meanwhile."""
    if fault.kind != "slow":
        return True
    await asyncio.sleep(fault.seconds)
    return not await request.is_disconnected()


def answer_instead(fault: Fault, request: Request) -> ASGIApp | None:
    """Return the response that replaces the exchange; None if the fault does not replace it."""
    retry = {"Retry-After": str(math.ceil(fault.seconds))}
    answers: dict[str, ASGIApp] = {
        "drop": drop,
        "http_500": JSONResponse({"code": 500, "message": "服务器错误", "data": None}, 500),
        "http_503": HTMLResponse(_BUSY, 503, retry),
        "rate_limited": JSONResponse({"code": 429, "message": "请求过于频繁"}, 429, retry),
        "html": HTMLResponse(_PORTAL),
        "redirect": RedirectResponse(request.url.path),
    }
    return answers.get(fault.kind)


def spoil(fault: Fault, response: Response) -> ASGIApp:
    """Return the response as the fault changes it."""
    if fault.kind == "accept_then_drop":
        return drop
    return Truncated(response) if fault.kind == "truncated" else response


async def drop(_scope: Scope, receive: Receive, send: Send) -> None:
    """Close the connection without a byte."""
    if not await _hang_up(receive, send):
        raise ConnectionResetError


class Truncated:
    """Sends half of a response and then closes the connection."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the unchanged head and the first half of the body."""
        body = bytes(self._response.body)
        head = {"status": self._response.status_code, "headers": self._response.raw_headers}
        await send({"type": "http.response.start", **head})
        half = body[: len(body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        if not await _hang_up(receive, send):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _hang_up(receive: Receive, send: Send) -> bool:
    # ASGI has no message that closes a connection. Under uvicorn, `send` is a method of the object
    # that owns the socket's transport. Elsewhere there is no transport, and nothing happens.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        return False
    transport.close()
    # The request has been read, so the next message is the disconnect. uvicorn would send 500 for
    # an app that returns before that.
    await receive()
    return True
