"""How a fault looks on the wire.

=================  =============================================================  ==============
kind               what the client sees                                           the ticket
=================  =============================================================  ==============
slow               nothing for `seconds`, then the answer, if it is still there   spent at the end
drop               the connection closes without an answer                        untouched
accept_then_drop   the same                                                       spent
http_500           500 and an envelope                                            untouched
http_503           503, HTML, Retry-After                                         untouched
rate_limited       429, an envelope, Retry-After                                  untouched
html               200 and a page, as a captive portal gives                      untouched
redirect           307 to the same address: following it is a second exchange     untouched
truncated          half of the answer under the Content-Length of the whole       spent
bad_token          a good answer whose token somebody else signed                 spent
=================  =============================================================  ==============

In one process (`httpx.ASGITransport`) there is no connection: a drop raises ConnectionResetError
through the transport, and a truncated answer merely ends early.
"""

import asyncio
import math

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.sandbox.options import Fault

_PORTAL = "<!doctype html><title>Wi-Fi</title><p>Please accept our terms."
_BUSY = "<!doctype html><title>503</title><p>Service Unavailable"


async def wait_if_slow(fault: Fault, request: Request) -> bool:
    """Wait as the fault demands; False if the client has hung up meanwhile."""
    if fault.kind != "slow":
        return True
    await asyncio.sleep(fault.seconds)
    return not await request.is_disconnected()


def answer_instead(fault: Fault, request: Request) -> ASGIApp | None:
    """Give what is answered without a look at the ticket, if this fault does so."""
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


def spoil(fault: Fault, answer: Response) -> ASGIApp:
    """Give what becomes of a finished answer on its way."""
    if fault.kind == "accept_then_drop":
        return drop
    return Truncated(answer) if fault.kind == "truncated" else answer


async def drop(_scope: Scope, receive: Receive, send: Send) -> None:
    """Close the connection without a byte."""
    if not await _hang_up(receive, send):
        raise ConnectionResetError


class Truncated:
    """Sends half of an answer and then hangs up."""

    def __init__(self, answer: Response) -> None:
        self._answer = answer

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head as it is and the first half of the body."""
        body = bytes(self._answer.body)
        head = {"status": self._answer.status_code, "headers": self._answer.raw_headers}
        await send({"type": "http.response.start", **head})
        half = body[: len(body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        if not await _hang_up(receive, send):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _hang_up(receive: Receive, send: Send) -> bool:
    # ASGI has no word for closing a connection. Under uvicorn, `send` is a method of the cycle
    # that owns the socket's transport; elsewhere there is no transport, and nothing is done.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        return False
    transport.close()
    # The request has been read, so the next message is that it is over. uvicorn would answer 500
    # for an app that returns before it has noticed.
    await receive()
    return True
