"""How many connections there may be, which one is closed when there are more, and how.

Closing a new connection at the limit would let clients that send nothing fill the server. So, like
nginx, it closes the connection that has waited longest. Nothing here knows HTTP.
"""

import asyncio
import resource
import sys
from itertools import chain
from typing import Protocol

from typing_extensions import override

MAX_CONNECTIONS = 4096
"""Twice the 2,000 slow clients that must not be felt; at worst 100 MiB of unfinished requests."""

RESERVED_FDS = 2048 + 256
"""Kept free for one burst of accepted connections and for the files that the service opens."""


class Connection(Protocol):
    """A connection, as the limiter sees it."""

    def evict(self) -> None:
        """Close at once."""
        ...


class ConnectionLimiter:
    """Tracks which connections wait for a request, are answered, or are idle."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[Connection] = set()
        # dicts keep their order: the connection that has waited longest comes first
        self._receiving: dict[Connection, None] = {}
        self._idle: dict[Connection, None] = {}

    def opened(self, connection: Connection) -> None:
        """Add a new connection, whose request is due.

        At the limit, evict the connection that has waited longest for its request, else the one
        that has been idle longest, else (all others are being answered) the new one.
        """
        if len(self._open) >= self._limit:
            loser = next(chain(self._receiving, self._idle, [connection]))
            self.closed(loser)
            loser.evict()
            if loser is connection:
                return
        self._open.add(connection)
        self.receiving(connection)

    def receiving(self, connection: Connection) -> None:
        """Note that a request is due: its first bytes came, or the connection is new."""
        self._idle.pop(connection, None)
        self._receiving[connection] = None

    def responding(self, connection: Connection) -> None:
        """Note that a whole request came. The connection is safe until it is answered."""
        self._receiving.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """Note that the response was sent and the connection is kept."""
        self._idle[connection] = None

    def closed(self, connection: Connection) -> None:
        """Forget the connection."""
        self._open.discard(connection)
        self._receiving.pop(connection, None)
        self._idle.pop(connection, None)


class LingeringClose(asyncio.Transport):
    """A transport whose `close()` closes only our side; its maker closes the rest in time.

    Closing a socket while the peer sends makes the kernel reset the connection, and the peer may
    lose a response that it has not read yet (RFC 9112 section 9.6).
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._closed = False

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)

    @override
    def is_closing(self) -> bool:
        return self._closed or self._transport.is_closing()

    @override
    def close(self) -> None:
        if not self.is_closing():
            self._closed = True
            self._transport.write_eof()


def raise_fd_limit(most: int = MAX_CONNECTIONS) -> int:
    """Raise the limit on open files as far as needed and allowed; return how many connections fit.

    The soft limit is often 1,024 for programs that use select(2). This is none.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit, wanted = _number(soft), most + RESERVED_FDS
    if limit < wanted:
        limit = min(wanted, _number(hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return min(most, max(limit - RESERVED_FDS, limit // 2))


def _number(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit
