"""How many connections there may be, and how long one may keep the server waiting.

Closing a new connection at the limit would let clients that send or read nothing fill the server.
So, like nginx, it closes the connection that has kept it waiting longest. Nothing here knows HTTP.
"""

import resource
from collections.abc import Callable
from itertools import chain
from typing import Protocol

MAX_CONNECTIONS = 4096
"""Twice the 2,000 slow clients beside which all others must stay fast.

Partial requests then need 100 MiB at most.
"""

RESERVED_FDS = 2048 + 256
"""Kept free for one burst of accepted connections and for the files that the service opens."""


class Connection(Protocol):
    """A connection, as the limiter sees it."""

    def evict(self) -> None:
        """Close at once."""


class ConnectionLimiter:
    """Tracks which connections wait for their client, are answered, or are idle.

    A client must send its request, or read its response, within `deadline`; a connection may be
    idle for `keep_alive`. Both are seconds of `clock`.
    """

    def __init__(
        self, limit: int, *, deadline: float, keep_alive: float, clock: Callable[[], float]
    ) -> None:
        self._limit = limit
        self._deadline = deadline
        self._keep_alive = keep_alive
        self._clock = clock
        self._open: set[Connection] = set()
        # When each one expires. dicts keep their order: the one that expires first comes first.
        self._waiting: dict[Connection, float] = {}
        self._idle: dict[Connection, float] = {}

    def opened(self, connection: Connection) -> None:
        """Add a new connection, whose request is due.

        At the limit, evict the connection that has waited longest for its client, else the one
        that has been idle longest, else (all others are being answered) the new one.
        """
        if len(self._open) >= self._limit:
            loser = next(chain(self._waiting, self._idle, [connection]))
            self._evict(loser)
            if loser is connection:
                return
        self._open.add(connection)
        self.waiting(connection)

    def waiting(self, connection: Connection) -> None:
        """The client must act from now: send a whole request, or read a response."""
        self._forget(connection)
        self._waiting[connection] = self._clock() + self._deadline

    def responding(self, connection: Connection) -> None:
        """The application makes the response. The connection is not evicted meanwhile."""
        self._forget(connection)

    def idle(self, connection: Connection) -> None:
        """The response was sent, and the connection is kept."""
        self._forget(connection)
        self._idle[connection] = self._clock() + self._keep_alive

    def closed(self, connection: Connection) -> None:
        """Forget the connection."""
        self._open.discard(connection)
        self._forget(connection)

    def evict_expired(self) -> None:
        """Evict the connections whose time is over. Must be called a few times a second."""
        now = self._clock()
        for connections in (self._waiting, self._idle):
            while connections and connections[first := next(iter(connections))] <= now:
                self._evict(first)

    def _evict(self, connection: Connection) -> None:
        self.closed(connection)
        connection.evict()

    def _forget(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        self._idle.pop(connection, None)


def raise_fd_limit(most: int = MAX_CONNECTIONS) -> int:
    """Raise the limit on open files as far as needed and allowed; return how many connections fit.

    The soft limit is often 1,024 for programs that use select(2). Here only the listening sockets
    use it, and their numbers are small.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite, wanted = resource.RLIM_INFINITY, most + RESERVED_FDS
    limit = wanted if soft == infinite else soft
    if limit < wanted:
        limit = wanted if hard == infinite else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return min(most, max(limit - RESERVED_FDS, limit // 2))
