"""The HTTP server with a drain: uvicorn, taught to leave without dropping anybody.

On SIGTERM an orchestrator takes the instance out of its balancer only when it has noticed. So the
service says "not ready" first, serves on for a while, and only then stops accepting (contract
section 8). A second signal, or Ctrl-C, skips the wait. It knows nothing of what it serves.
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

from app.errors import StartupError
from app.server.connections import ConnectionLimiter, raise_fd_limit
from app.server.protocol import RECEIVE_SECONDS, Parser, gated

_KEEP_ALIVE_SECONDS = 75
"""Longer than the usual 60 s of a proxy, so that it is the proxy who closes idle connections."""
_LAST_REQUEST_SECONDS = 0.3
"""How long after the address was closed a request may still arrive that was on its way."""


class Drain:
    """Whether the process is about to leave. Shared by the server and `/readyz`."""

    def __init__(self) -> None:
        self._started = False

    def start(self) -> None:
        """Say so from now on."""
        self._started = True

    def started(self) -> bool:
        """True once the process is about to leave."""
        return self._started


class DrainingServer(uvicorn.Server):
    """A uvicorn server that waits `delay` seconds between SIGTERM and closing its sockets."""

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Drain,
        delay: float,
        on_start: Callable[[int], None],
    ) -> None:
        """Made inside the running loop, which a signal handler could not find."""
        super().__init__(config)
        self._drain = drain
        self._delay = delay
        self._on_start = on_start
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell which port it became."""
        await super().startup(sockets)
        self._on_start(self.servers[0].sockets[0].getsockname()[1])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the address, and a moment later the connections on which nothing is asked.

        Who has connected is taken in first, because closing resets what waits in the queue.
        """
        self._drain.start()
        listening = sockets or []
        # Bounded: while other workers take from the same queue, it may never be empty.
        end = self._loop.time() + _LAST_REQUEST_SECONDS
        while _somebody_waits(listening) and self._loop.time() < end:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for listener in listening:
            listener.close()
        await asyncio.sleep(_LAST_REQUEST_SECONDS)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's
        """Begin to drain on the first SIGTERM; leave at once on anything else.

        Unlike uvicorn's own, it does not raise the signal again afterwards: leaving when told to
        is a success.
        """
        first = not self._drain.started()
        self._drain.start()
        if sig == signal.SIGTERM and first:
            self._loop.call_soon_threadsafe(self._loop.call_later, self._delay, self._leave)
        else:
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self._leave()

    def _leave(self) -> None:
        self.should_exit = True


def _somebody_waits(listening: list[socket.socket]) -> bool:
    readable, _, _ = select.select(listening, [], [], 0)
    return bool(readable)


def bind(host: str, port: int) -> socket.socket:
    """Take the address before anything else is done; nobody can connect yet.

    Raises:
        StartupError: the address is taken, or not of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartupError(f"HOST: {host} is not an address: {error.strerror}") from error
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
    on_start: Callable[[int], None],
    receive_seconds: float = RECEIVE_SECONDS,
    max_connections: int | None = None,
    parser: Parser = "httptools",
) -> DrainingServer:
    """Configure the server, inside the running loop. Times in seconds; `on_start` gets the port.

    A request must have come within `receive_seconds` of its first byte. Without `max_connections`
    there are as many as the limit on open files has room for.
    """
    lobby = ConnectionLimiter(raise_fd_limit() if max_connections is None else max_connections)
    config = uvicorn.Config(
        app,
        http=gated(parser, lobby=lobby, receive_seconds=receive_seconds, is_draining=drain.started),
        ws="none",
        lifespan="off",  # what the service needs is open before the server exists
        log_config=None,
        access_log=False,
        server_header=False,
        # Whose X-Forwarded-For to believe is a decision of ours, not of an environment variable.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=shutdown_timeout,
    )
    return DrainingServer(config, drain, drain_delay, on_start)
