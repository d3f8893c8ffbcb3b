"""The wires of an application in this process: from the phone, and to Authing."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from app.api.middleware import REFUSAL
from app.authing.transport import Response, Transport
from app.errors import MalformedRequest, RequestError
from app.server.framing import RequestReader


class InProcessTransport:
    """Surrounds an application as the server does, but for the sockets.

    The server's own reader gets each request as bytes. Its limits hold here, its grammar does not:
    the API must stand even texts that no wire carries.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole(receive)
        reader = RequestReader()
        reader.receive_data(as_bytes(scope, body))
        try:
            reader.next_request()
        except MalformedRequest:
            pass
        except RequestError as refusal:
            scope["state"] = {REFUSAL: refusal}
        came = False

        async def receive_again() -> Message:
            nonlocal came
            if came:
                return await receive()
            came = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive_again, send)


async def whole(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body


def as_bytes(scope: Scope, body: bytes) -> bytes:
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    lines = [b"%b %b HTTP/1.1" % (scope["method"].encode(), target)]
    lines += [b"%b: %b" % field for field in scope["headers"]]
    if (b"transfer-encoding", b"chunked") in scope["headers"]:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return b"\r\n".join([*lines, b"", body])


class Wire(Transport):
    """The wire to Authing. Raises `failure`, if it is set, instead of sending; waits for `open`."""

    def __init__(self, authing: Transport) -> None:
        self.authing = authing
        self.failure: Exception | None = None
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    @override
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        self.asked.set()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return await self.authing.send(method, url, headers, body)

    @override
    async def __aexit__(self, *_error: object) -> None:
        await self.authing.__aexit__(None, None, None)


class Dated(Transport):
    """A wire whose responses have the time of a clock in `Date`."""

    def __init__(self, inner: Transport, date: Callable[[], str]) -> None:
        self._inner = inner
        self._date = date

    @override
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        response = await self._inner.send(method, url, headers, body)
        return replace(response, headers={**response.headers, "date": self._date()})

    @override
    async def __aexit__(self, *_error: object) -> None:
        await self._inner.__aexit__(None, None, None)
