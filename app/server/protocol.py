"""The gate before uvicorn's parser: lets through one judged request at a time, within a deadline.

Whichever parser is behind it, it is given only whole requests in one unambiguous spelling, so its
own tolerance does not matter. A refusal is answered by the application, as everything is, so that
it looks and is logged like every other: it gets an empty request in place of the refused one, with
the reason in `scope["state"]`. See docs/decisions/0008-framing.md.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.middleware import REFUSAL
from app.errors import RequestError
from app.server.connections import ConnectionLimiter
from app.server.lingering_close import LingeringClose
from app.server.reader import Request, RequestReader

RECEIVE_SECONDS = 10.0
LINGER_SECONDS = 2.0
"""How long a client that was refused may take to stop sending and read why."""

_MAX_HELD = 32 * 1024
"""Bytes kept of requests that were sent before the one before them was answered."""

_FOR_THE_ANSWER = frozenset({b"accept-language", b"x-request-id"})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Parser = Literal["httptools", "h11"]


if TYPE_CHECKING:

    class _Parser(asyncio.Protocol):
        """What uvicorn's two parsers have in common, as far as it is used here."""

        app_state: dict[str, Any]
        loop: asyncio.AbstractEventLoop
        transport: asyncio.Transport

        def shutdown(self) -> None: ...
        def on_response_complete(self) -> None: ...
        def _unset_keepalive_if_required(self) -> None: ...
else:
    _Parser = asyncio.Protocol


class _Gate(_Parser):
    """One connection. `gated` fills in what they all share."""

    lobby: ConnectionLimiter
    receive_seconds: float
    is_draining: Callable[[], bool]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Expect a request within the deadline, if there is a place."""
        super().connection_made(transport)
        self._socket = transport
        self._reader = RequestReader()
        self._answering = self._refused = self._leaving = False
        self._timer = self.loop.call_later(self.receive_seconds, transport.abort)
        self.lobby.enter(self)

    def make_room(self) -> None:
        """Close at once."""
        self._socket.abort()

    def data_received(self, data: bytes) -> None:
        """Judge what has come."""
        if self._refused:
            return  # where the next request would begin cannot be known any more
        if not self._answering and not self._reader.has_begun:
            self._expect_the_rest()
        self._reader.feed(data)
        if not self._answering:
            self._advance()
        self._take_no_more_than_can_be_held()

    def on_response_complete(self) -> None:
        """Go on to the next request, which may have come meanwhile."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        self._answering = False
        if self._reader.has_begun:
            self._expect_the_rest()
            self._advance()
            self._take_no_more_than_can_be_held()
        else:
            self.lobby.rests(self)

    def shutdown(self) -> None:
        """Close when what is in flight is done; a request of which a part has come is in flight."""
        self._leaving = True
        if self._answering or not self._reader.has_begun:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._timer.cancel()
        self._reader.close()
        self.lobby.leave(self)
        super().connection_lost(exc)

    def _expect_the_rest(self) -> None:
        self._unset_keepalive_if_required()
        self._close_in(self.receive_seconds)
        self.lobby.awaits(self)

    def _take_no_more_than_can_be_held(self) -> None:
        # Past uvicorn's flow control, which would resume whenever the application asks for a body.
        if self._reader.held > _MAX_HELD:
            self._socket.pause_reading()
        else:
            self._socket.resume_reading()

    def _close_in(self, seconds: float) -> None:
        self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._socket.abort)

    def _advance(self) -> None:
        try:
            request = self._reader.next()
        except RequestError as error:
            self._refuse(error)
        else:
            if request is not None:
                self._let_through(request)
            elif self._reader.invitation_due:
                self._reader.invitation_due = False
                self._socket.write(_CONTINUE)

    def _let_through(self, request: Request) -> None:
        self._timer.cancel()
        self.lobby.serves(self)
        self._answering = True
        # While draining too: a proxy that keeps this connection would send its next request into
        # the moment of closing, and must not repeat it.
        super().data_received(request.encode(last=self._leaving or self.is_draining()))

    def _refuse(self, error: RequestError) -> None:
        kept = [field for field in self._reader.fields if field[0] in _FOR_THE_ANSWER]
        instead = Request(self._reader.method, b"/", b"1", [(b"host", b"refused"), *kept], None)
        self._refused = self._answering = True
        self._reader.close()
        self._close_in(LINGER_SECONDS)
        self.transport = LingeringClose(self._socket)
        # Without its traceback, which leads back here: no work for the garbage collector.
        self.app_state = self.app_state | {REFUSAL: error.with_traceback(None)}
        super().data_received(instead.encode(last=True))


class _GatedHttpTools(_Gate, HttpToolsProtocol):
    """The gate before httptools."""


class _GatedH11(_Gate, H11Protocol):
    """The gate before h11."""


def gated(
    parser: Parser,
    *,
    lobby: ConnectionLimiter,
    receive_seconds: float,
    is_draining: Callable[[], bool],
) -> type[asyncio.Protocol]:
    """A class for uvicorn's `http=`, which makes one object of it for each connection."""
    gate = {"httptools": _GatedHttpTools, "h11": _GatedH11}[parser]
    shared = {"lobby": lobby, "receive_seconds": receive_seconds}
    return type("Gated", (gate,), shared | {"is_draining": staticmethod(is_draining)})
