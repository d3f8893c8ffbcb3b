"""uvicorn's httptools protocol, with strict framing, a deadline and a connection limit.

The application gets only whole requests, one at a time. It answers refused requests too, so that
refusals look and are logged like every other error: it gets an empty request, with the reason in
`scope["state"]`. See docs/decisions/0013-one-parser.md.
"""

import asyncio
from collections.abc import Callable

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.middleware import REFUSAL
from app.errors import RequestError
from app.server.connections import ConnectionLimiter, LingeringClose
from app.server.framing import Request, RequestReader

RECEIVE_SECONDS = 10.0
LINGER_SECONDS = 2.0
"""How long a refused client may take to stop sending and read the response."""

_MAX_HELD = 32 * 1024
"""Bytes of further requests that are held while one is answered. Beyond, reading pauses."""

_FOR_THE_RESPONSE = frozenset({b"accept-language", b"x-request-id"})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class StrictHttpProtocol(HttpToolsProtocol):
    """One connection. `strict_protocol` sets the attributes that all connections share.

    uvicorn's own queue of pipelined requests and its flow control for reading stay unused.
    """

    limiter: ConnectionLimiter
    receive_seconds: float
    is_draining: Callable[[], bool]

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._socket = transport
        self._reader = RequestReader()
        self._responding = self._refused = self._leaving = self._ended = False
        self._timer = self.loop.call_later(self.receive_seconds, transport.abort)
        self.limiter.opened(self)

    def evict(self) -> None:
        """Close at once, to make room for another connection."""
        self._socket.abort()

    @override
    def data_received(self, data: bytes) -> None:
        if self._refused:
            return  # where the next request would begin is unknown
        begun = self._reader.begun
        self._reader.receive_data(data)
        if not self._responding:
            if self._reader.begun and not begun:
                self._expect_request()
            self._advance()
        self._limit_held()

    @override
    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's never keeps it open
        """Keep a half-closed connection open until its whole requests are answered."""
        self._ended = True
        return self._responding and not self.transport.is_closing()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._responding = False
        if self.transport.is_closing():
            pass
        elif self._reader.begun:
            self._expect_request()
            self._advance()
            self._limit_held()
        else:
            self.limiter.idle(self)
        if self._ended and not self._responding:
            self._socket.close()

    @override
    def shutdown(self) -> None:
        """Close when the request in flight is answered; a request of which a part came counts."""
        self._leaving = True
        if self._responding or not self._reader.begun:
            super().shutdown()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self.limiter.closed(self)
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._unset_keepalive_if_required()
        self._close_in(self.receive_seconds)
        self.limiter.receiving(self)

    def _limit_held(self) -> None:
        if len(self._reader.received) > _MAX_HELD:
            self._socket.pause_reading()
        elif not self._ended:
            self._socket.resume_reading()

    def _close_in(self, seconds: float) -> None:
        self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._socket.abort)

    def _advance(self) -> None:
        try:
            request = self._reader.next_request()
        except RequestError as error:
            self._refuse(error)
            return
        if request is not None:
            # While draining too: the client should not send its next request into the closing.
            self._respond(request, last=self._leaving or self.is_draining())
        elif self._reader.request.awaits_continue:
            self._reader.request.awaits_continue = False
            self._socket.write(_CONTINUE)

    def _respond(self, request: Request, *, last: bool) -> None:
        """Start the application's task."""
        self._responding = True
        self._timer.cancel()
        self.limiter.responding(self)
        self.on_message_begin()
        self.parser = request  # type: ignore[assignment]  # has the methods that uvicorn calls
        self.url = request.target
        self.headers += request.headers
        self.on_headers_complete()
        self.cycle.body += request.body
        self.cycle.keep_alive &= not last
        self.on_message_complete()

    def _refuse(self, error: RequestError) -> None:
        read = self._reader.request
        empty = Request(read.method)
        empty.headers = [field for field in read.headers if field[0] in _FOR_THE_RESPONSE]
        self._reader = RequestReader()
        self._refused = True
        self.transport = LingeringClose(self._socket)
        # A new one: the traceback of the raised one leads back here, a cycle for the collector.
        self.app_state = self.app_state | {REFUSAL: type(error)()}
        self._respond(empty, last=True)
        self._close_in(LINGER_SECONDS)


def strict_protocol(
    *, limiter: ConnectionLimiter, receive_seconds: float, is_draining: Callable[[], bool]
) -> type[StrictHttpProtocol]:
    """Return a class for uvicorn's `http=`, which makes one object of it per connection."""
    shared = {"limiter": limiter, "receive_seconds": receive_seconds}
    return type("Bound", (StrictHttpProtocol,), shared | {"is_draining": staticmethod(is_draining)})
