"""One request and its response, for ASGI; decision 0035 says why uvicorn's is not used."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TypeAlias

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.flow_control import CLOSE_HEADER, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

_Field: TypeAlias = tuple[bytes, bytes]
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_CHUNKED = (b"transfer-encoding", b"chunked")
_log = logging.getLogger("uvicorn.error")


class ResponseCycle:
    """Runs the application for one whole request, and writes its response.

    `on_end` is called when the response is complete or has failed. After a failure the connection
    cannot be kept.
    """

    def __init__(
        self,
        scope: Scope,
        body: bytes,
        transport: asyncio.Transport,
        flow: FlowControl,
        *,
        keep_alive: bool,
        default_headers: Sequence[_Field],
        on_end: Callable[..., None],
    ) -> None:
        self.keep_alive = keep_alive
        self.response_started = False
        self._scope = scope
        self._body: bytes | None = body
        self._transport = transport
        self._flow = flow
        self._default_headers = default_headers
        self._on_end = on_end
        self._head = b""
        self._chunked = False
        self._ended = False
        self._end_event: asyncio.Event | None = None  # few responses need one

    def end(self) -> None:
        """Write nothing more: the response is complete, or the connection is lost."""
        self._ended = True
        if self._end_event is not None:
            self._end_event.set()

    async def run(self, app: ASGIApp) -> None:
        """Run the application. Without a whole response, the connection is closed."""
        try:
            await app(self._scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001  # a task has no caller that could handle it
            _log.error("Exception in ASGI application", exc_info=error)
        if not self._ended:
            self._on_end(keep_alive=False)

    async def receive(self) -> Message:
        """Return the request. The next call waits for the end of the response or the connection."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self._ended:
            self._end_event = self._end_event or asyncio.Event()
            await self._end_event.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Write a part of the response. The head waits for the first part of the body (ASGI)."""
        if self._flow.write_paused and not self._ended:
            await self._flow.drain()
        if self._ended:
            return
        if message["type"] == "http.response.start":
            self.response_started = True
            self._head = self._head_of(message["status"], message["headers"])
            return
        is_last = not message.get("more_body", False)
        part = self._part(message.get("body", b""), is_last=is_last)
        if self._head or part:
            self._transport.write(self._head + part)
            self._head = b""
        if is_last:
            self.end()
            self._on_end(keep_alive=self.keep_alive)

    def _head_of(self, status: int, headers: Iterable[_Field]) -> bytes:
        fields = [*self._default_headers, *headers]
        names = dict(fields)
        if b"connection" in names:
            self.keep_alive = False  # our responses use this field only to close the connection
        elif not self.keep_alive:
            fields.append(CLOSE_HEADER)
        if b"content-length" not in names and status not in _WITHOUT_BODY:
            # HTTP/1.0 has no chunks; the end of the connection ends the body.
            self._chunked = self._scope["http_version"] == "1.1"
            fields += [_CHUNKED] if self._chunked else []
        lines = b"\r\n".join([*map(b": ".join, fields), b"", b""])
        if not lines.count(b"\r") == lines.count(b"\n") == len(fields) + 1:
            raise ValueError("a header field of the response has a line break")
        return STATUS_LINE[status] + lines

    def _part(self, body: bytes, *, is_last: bool) -> bytes:
        if self._scope["method"] == "HEAD":
            return b""
        if not self._chunked:
            return body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk + b"0\r\n\r\n" if is_last else chunk
