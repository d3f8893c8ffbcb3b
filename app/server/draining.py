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
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from app.errors import StartupError
from app.server.connections import ConnectionLimiter, raise_fd_limit
from app.server.protocol import RECEIVE_SECONDS, strict_protocol

_LAST_REQUEST_SECONDS = 0.3
"""After the address is closed, requests that are on their way may still arrive for this long."""


class Drain:
    """Whether the process is about to stop. Shared by the server and `/readyz`."""

    _started = False

    def start(self) -> None:
        """Begin to drain, for good."""
        self._started = True

    def started(self) -> bool:
        """Tell whether the process is about to stop."""
        return self._started


class DrainingServer(uvicorn.Server):
    """A uvicorn server that waits `delay` seconds between SIGTERM and closing its sockets."""

    def __init__(
        self, config: uvicorn.Config, drain: Drain, delay: float, on_start: Callable[[int], None]
    ) -> None:
        """Must run inside the loop: a signal handler cannot find it later."""
        super().__init__(config)
        self._drain = drain
        self._delay = delay
        self._on_start = on_start
        self._loop = asyncio.get_running_loop()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then pass the port to `on_start`."""
        await super().startup(sockets)
        self._on_start(self.servers[0].sockets[0].getsockname()[1])

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; a moment later, close the connections without a request in flight.

        First accept what waits in the kernel's queue, because closing the address resets it.
        """
        self._drain.start()
        listening = sockets or []
        # Bounded: while clients keep connecting, the queue may never be empty.
        end = self._loop.time() + _LAST_REQUEST_SECONDS
        while select.select(listening, [], [], 0)[0] and self._loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for listener in listening:
            listener.close()
        await asyncio.sleep(_LAST_REQUEST_SECONDS)
        await super().shutdown(sockets)

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first SIGTERM; stop at once on any other signal.

        Unlike uvicorn's method, it does not raise the signal again at the end: the exit code is 0.
        """
        first = not self._drain.started()
        self._drain.start()
        if sig == signal.SIGTERM and first:
            self._loop.call_soon_threadsafe(self._loop.call_later, self._delay, self._stop)
        else:
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self._stop()

    def _stop(self) -> None:
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """Bind the address before anything else is opened. Nothing can connect until it listens.

    Raises:
        StartupError: the address is in use, or does not belong to this machine.
    """
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
        listener.bind(address)
    except OSError as error:
        listener.close()
        name = "PORT" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "HOST"
        raise StartupError(f"{name}: cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def build_server(
    app: ASGIApp,
    *,
    drain: Drain,
    drain_delay: float,
    shutdown_timeout: int,
    keep_alive: int,
    on_start: Callable[[int], None],
    receive_seconds: float = RECEIVE_SECONDS,
    max_connections: int | None = None,
) -> DrainingServer:
    """Configure the server, inside the running loop. Times in seconds; `on_start` gets the port.

    A request must be complete `receive_seconds` after its first byte. A connection may be idle for
    `keep_alive`; a proxy in front closes it earlier. Without `max_connections`, the limit on open
    files decides.
    """
    limiter = ConnectionLimiter(raise_fd_limit() if max_connections is None else max_connections)
    config = uvicorn.Config(
        app,
        http=strict_protocol(
            limiter=limiter, receive_seconds=receive_seconds, is_draining=drain.started
        ),
        ws="none",
        lifespan="off",  # the service opens everything before the server exists
        log_config=None,
        access_log=False,
        server_header=False,
        # The application decides which X-Forwarded-For it believes, not an environment variable.
        proxy_headers=False,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=shutdown_timeout,
    )
    return DrainingServer(config, drain, drain_delay, on_start)
