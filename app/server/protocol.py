"""One connection: strict framing, a deadline, a connection limit, one whole request at a time.

Only the body of a gateway's request to `/authz` stays unread. The application answers refused
requests too, so that refusals look and are logged like every other error: it gets an empty request,
with the reason in `scope["state"]`. See docs/decisions/0013-one-parser.md.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import uvicorn
from starlette.types import Scope
from typing_extensions import override
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from app.api.middleware import REFUSAL
from app.errors import RequestError
from app.server.connections import ConnectionLimiter
from app.server.cycle import ResponseCycle
from app.server.framing import Request, RequestReader

LINGER_SECONDS = 2.0
"""How long a refused client may take to stop sending and read the response."""

_MAX_UNSENT = 4 * 1024
"""Bytes of responses that this process holds. Above it, the application waits for the client."""

_FOR_THE_RESPONSE = frozenset({b"accept-language", b"x-request-id"})
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class StrictHttpProtocol(asyncio.Protocol):
    """One connection. uvicorn's server passes all arguments but the first two."""

    transport: asyncio.Transport

    def __init__(
        self,
        limiter: ConnectionLimiter,
        is_draining: Callable[[], bool],
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        del app_state  # of ASGI's lifespan, which is off
        self.cycle: ResponseCycle | None = None  # of the request that is being answered
        self._limiter = limiter
        self._is_draining = is_draining
        self._app = config.loaded_app
        self._server_state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._reader = RequestReader()
        self._shutting_down = self._discarding = self._closing = False
        self._eof_received = self._reading_paused = False
        self._refusal: RequestError | None = None
        self._linger: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of TCP
        transport.set_write_buffer_limits(high=_MAX_UNSENT, low=0)
        self.transport = transport
        self._flow = FlowControl(transport)
        self._client = get_remote_addr(transport)
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # it has what uvicorn uses
        self._limiter.opened(self)

    def evict(self) -> None:
        """Close at once: the client takes too long, or a new connection is over the limit."""
        if self.cycle is not None:
            self.cycle.end()
        self.transport.abort()

    def cut_off(self) -> None:
        """Close at once, unless the client can still get a whole response."""
        if self.cycle is None or self.cycle.response_started:
            self.evict()

    @override
    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return  # where the next request would begin is unknown
        begun = self._reader.begun
        self._reader.receive_data(data)
        if not self._is_busy:
            self._advance()
            if self.cycle is None and self._reader.begun and not begun:
                self._limiter.waiting(self)
        self._limit_held()

    @override
    def eof_received(self) -> bool:
        """Keep a half-closed connection open until its whole requests are answered.

        But a client that leaves while a response comes in parts has no use for the rest.
        """
        self._eof_received = True
        has_a_part = self.cycle is not None and self.cycle.response_started
        return self._is_busy and not has_a_part and not self._closing

    @override
    def pause_writing(self) -> None:
        """Wait for a client that does not read; called by the transport."""
        self._flow.pause_writing()
        self._limiter.waiting(self)

    @override
    def resume_writing(self) -> None:
        self._flow.resume_writing()
        if self.cycle is not None:
            self._limiter.responding(self)
        else:
            self._next()

    def shutdown(self) -> None:
        """Close after the response in flight, and after a request of which a part has arrived."""
        self._shutting_down = True
        if self.cycle is not None:
            self.cycle.keep_alive = False
        elif not self._reader.begun:
            self._close()
            self._limiter.waiting(self)  # its client may have to read a response

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._server_state.connections.discard(self)
        self._limiter.closed(self)
        if self._linger is not None:
            self._linger.cancel()
        if self.cycle is not None:
            self.cycle.end()
        self._flow.resume_writing()

    @property
    def _is_busy(self) -> bool:
        """Whether a response must be made or read before the next request."""
        return self.cycle is not None or self._flow.write_paused

    def _end_response(self, *, keep_alive: bool) -> None:
        self.cycle = None  # an idle connection holds no request
        if not keep_alive:
            self._close()
        if not self._flow.write_paused:
            self._next()

    def _close(self) -> None:
        """Close when all is sent. While the client may still send, close only our side.

        Closing a socket while the peer sends makes the kernel reset the connection, and the peer
        may lose a response that it has not read yet (RFC 9112 section 9.6).
        """
        if self._closing:
            return
        self._closing = True
        if self._discarding:
            self.transport.write_eof()
            self._linger = self._loop.call_later(LINGER_SECONDS, self.transport.abort)
        else:
            self.transport.close()

    def _next(self) -> None:
        if self._closing:
            self._limiter.waiting(self)  # its client may have to read the last bytes
        elif self._reader.begun:
            self._limiter.waiting(self)
            self._advance()
        else:
            self._limiter.idle(self)
        self._limit_held()
        if self._eof_received and not self._is_busy:
            self.transport.close()

    def _limit_held(self) -> None:
        """Read nothing more while bytes of a further request wait for a response."""
        pause = bool(self._reader.received) and self._is_busy
        if pause != self._reading_paused and not self._eof_received:
            self._reading_paused = pause
            (self.transport.pause_reading if pause else self.transport.resume_reading)()

    def _advance(self) -> None:
        try:
            request = self._reader.next_request()
        except RequestError as error:
            self._refuse(error)
            return
        if request is None:
            if self._reader.request.awaits_continue:
                self._reader.request.awaits_continue = False
                self.transport.write(_CONTINUE)
        elif request.is_last:
            self._respond_last(request)
        else:
            # While draining too: the client should not send its next request into the closing.
            self._respond(request, last=self._shutting_down or self._is_draining())

    def _respond(self, request: Request, *, last: bool) -> None:
        """Start the application's task."""
        self._limiter.responding(self)
        self.cycle = ResponseCycle(
            self._scope_of(request),
            request.body,
            self.transport,
            self._flow,
            keep_alive=request.keeps_alive and not last,
            default_headers=self._server_state.default_headers,
            on_end=self._end_response,
        )
        task = self._loop.create_task(self.cycle.run(self._app))
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    def _scope_of(self, request: Request) -> Scope:
        raw_path, _, query = request.target.partition(b"?")
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": request.http_version,
            "client": self._client,
            "method": request.method.decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": request.headers,
            "state": {REFUSAL: self._refusal},
        }

    def _refuse(self, error: RequestError) -> None:
        request = self._reader.request
        request.headers = [each for each in request.headers if each[0] in _FOR_THE_RESPONSE]
        # A new one: the traceback of the raised one leads back here, a cycle for the collector.
        self._refusal = type(error)()
        self._respond_last(request)

    def _respond_last(self, request: Request) -> None:
        """Respond, drop all that still arrives, and close. The rest of the body stays unread."""
        self._reader = RequestReader()
        self._discarding = True
        self._respond(request, last=True)
