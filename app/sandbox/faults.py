"""How a fault spoils the answer to a request, of the fake Authing as of the service itself.

In one process there is no connection: a lost answer raises ConnectionResetError out of the
application, and a truncated one ends early.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

Answer: TypeAlias = Callable[[Request], Awaitable[Response]]
Refusals: TypeAlias = Callable[..., Mapping[str, ASGIApp]]
"""Makes applications that refuse every request, by error code: `(retry_after=1, nonce="")`."""

_PORTAL = "<!doctype html><title>Wi-Fi</title><p>Please accept our terms."


async def answer_with_fault(
    kind: str, seconds: float, refusals: Mapping[str, ASGIApp], request: Request, service: ASGIApp
) -> Response:
    """Let the service perform the request; return the response as this kind of fault spoils it.

    The refusals replace the service, by kind. `seconds` is the delay.
    """
    body = await request.body()
    if kind == "slow":
        await asyncio.sleep(seconds)
    if kind == "drop" or (kind == "slow" and await request.is_disconnected()):
        return CutOff(None)
    pages = {"html": HTMLResponse(_PORTAL), "redirect": RedirectResponse(request.url.path)}
    app = pages.get(kind) or refusals.get(kind, service)
    response = await perform(app, request.scope, body)
    if kind == "doubled":
        response = await perform(app, request.scope, body)
    if kind == "delayed":
        await asyncio.sleep(seconds)
    if kind in ("accept_then_drop", "truncated"):
        return CutOff(response if kind == "truncated" else None)
    return response


async def perform(app: ASGIApp, scope: Scope, body: bytes) -> Response:
    """Let an application answer one request; return the whole response."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app({**scope, "state": dict(scope.get("state", {}))}, receive, send)
    content = b"".join(message.get("body", b"") for message in messages)
    response = Response(content, messages[0]["status"])
    response.raw_headers = messages[0]["headers"]
    return response


class Answering:
    """An ASGI application: `answer` answers the requests, or those below `/v1/` of a service.

    So `/sandbox`, the health routes and the routes of the backend work while a fault is set. A
    preflight (Fetch standard) is answered without a fault.
    """

    def __init__(self, answer: Answer, service: ASGIApp | None = None) -> None:
        self._answer = answer
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        is_of_an_app = scope.get("path", "").startswith("/v1/") and scope["method"] != "OPTIONS"
        app = self._service
        if app is None or is_of_an_app:
            app = await self._answer(Request(scope, receive))
        await app(scope, receive, send)


class CutOff(Response):
    """Sends the head and half of a body, or nothing (status 0), and closes the connection."""

    def __init__(self, whole: Response | None) -> None:
        super().__init__(whole and bytes(whole.body), whole.status_code if whole else 0)
        self.raw_headers = whole.raw_headers if whole else []

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.status_code:
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            half = bytes(self.body)[: len(self.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
        # ASGI has no message that closes a connection. Under uvicorn, `send` is a method of the
        # object that owns the socket's transport.
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if transport is not None:
            transport.close()
            # The request has been read, so the next message is the disconnect. uvicorn would send
            # 500 for an app that returns before that.
            await receive()
        elif self.status_code:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            raise ConnectionResetError
