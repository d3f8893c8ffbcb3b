"""The HTTP server: uvicorn that drains before it stops.

After SIGTERM an orchestrator needs a moment to take the instance out of its load balancer. So the
service says "not ready" first, serves for a while, and only then stops accepting. A second signal,
or Ctrl-C, skips the wait. Nothing here knows the application.
"""

import asyncio
import errno
import select
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import cast

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from app.errors import StartupError
from app.server.connections import ConnectionLimiter, raise_fd_limit
from app.server.protocol import StrictHttpProtocol

CLIENT_SECONDS = 10.0
"""How long a client may take to send a request, and as long to read its response."""

_EVICTION_INTERVAL = 0.1
_LAST_REQUEST_SECONDS = 0.3
"""After the address is closed, requests that are on their way may still arrive for this long."""

_CUT_OFF_SECONDS = 1
"""Seconds for the responses to requests that are cut off."""

_ACCEPTED_AT_ONCE = 16
_KERNEL_BUFFERS = {socket.SO_RCVBUF: 8 * 1024, socket.SO_SNDBUF: 16 * 1024}
"""Bytes that the kernel holds of each connection, which else grow to megabytes.

The first also limits how much is read at once, to 12 KiB on Linux.
"""


class DrainingServer(uvicorn.Server):
    """A uvicorn server that waits between SIGTERM and closing its sockets."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        drain: asyncio.Event,
        drain_delay: float,
        shutdown_timeout: int,
        keep_alive: int,
        on_start: Callable[[int], None],
        deadline: float = CLIENT_SECONDS,
        max_connections: int | None = None,
    ) -> None:
        """Configure it, inside the running loop: a signal handler cannot find the loop later.

        Times are in seconds. `drain` is set when the process is about to stop. `shutdown_timeout`
        after the sockets are closed, requests are cut off. A request must be complete `deadline`
        after its first byte, and its response be read in the same time. `on_start` gets the port.
        Without `max_connections`, the limit on open files decides.
        """
        self._loop = asyncio.get_running_loop()
        self._limiter = ConnectionLimiter(
            raise_fd_limit() if max_connections is None else max_connections,
            deadline=deadline,
            keep_alive=keep_alive,
            clock=self._loop.time,
        )
        self._drain = drain
        self._delay = drain_delay
        self._timeout = shutdown_timeout
        self._on_start = on_start
        config = uvicorn.Config(
            app,
            # uvicorn calls it as it calls the class.
            http=cast(
                "type[asyncio.Protocol]", partial(StrictHttpProtocol, self._limiter, drain.is_set)
            ),
            ws="none",
            lifespan="off",  # the service opens everything before the server exists
            log_config=None,
            access_log=False,
            server_header=False,
            # The application decides which X-Forwarded-For it believes, not the environment.
            proxy_headers=False,
            timeout_graceful_shutdown=shutdown_timeout + _CUT_OFF_SECONDS,
        )
        super().__init__(config)

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # libuv accepts one connection of each socket between two rounds of work. With one socket,
        # many busy connections would keep new ones waiting for seconds.
        await super().startup([s.dup() for s in sockets or () for _ in range(_ACCEPTED_AT_ONCE)])
        self._evict_expired()
        self._on_start(self.servers[0].sockets[0].getsockname()[1])

    def _evict_expired(self) -> None:
        self._limiter.evict_expired()
        self._eviction = self._loop.call_later(_EVICTION_INTERVAL, self._evict_expired)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; a moment later, close the connections without a request in flight.

        First accept what waits in the kernel's queue, because closing the address resets it.
        """
        listening = sockets or []
        # While clients keep connecting, the queue may never be empty.
        end = self._loop.time() + _LAST_REQUEST_SECONDS
        while select.select(listening, [], [], 0)[0] and self._loop.time() < end:  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for listener in listening:
            listener.close()
        await asyncio.sleep(_LAST_REQUEST_SECONDS)
        cut_off = self._loop.call_later(self._timeout, self._cut_off)
        await super().shutdown(sockets)
        cut_off.cancel()
        self._eviction.cancel()

    def _cut_off(self) -> None:
        for connection in self.server_state.connections:
            cast("StrictHttpProtocol", connection).cut_off()
        for task in self.server_state.tasks:
            task.cancel()  # RequestContext answers it

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first SIGTERM; stop at once on any other signal.

        Unlike uvicorn's method, it does not raise the signal again at the end: the exit code is 0.
        """
        first = not self._drain.is_set()
        self._drain.set()
        if sig == signal.SIGTERM and first:
            self._loop.call_soon_threadsafe(self._loop.call_later, self._delay, self._stop)
        else:
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self._stop()

    def _stop(self) -> None:
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """Bind the address, or raise StartupError. Nothing can connect until it listens."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # UnicodeError: no host name, such as a..b
        reason = getattr(error, "strerror", "not a host name")
        raise StartupError(f"HOST: {host} is not an address: {reason}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option, size in _KERNEL_BUFFERS.items():  # accepted sockets inherit them
            listener.setsockopt(socket.SOL_SOCKET, option, size)
        listener.bind(address)
    except OSError as error:
        listener.close()
        name = "PORT" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "HOST"
        raise StartupError(f"{name}: cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
