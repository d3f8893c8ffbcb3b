"""How many connections there may be, and whose turn it is to go when there are more.

A server that refuses the newcomer when it is full can be filled by clients that say nothing. This
one does what nginx does: who has kept us waiting longest makes room. It counts connections and
knows nothing of what they say.
"""

import resource
import sys
from itertools import chain
from typing import Protocol

MAX_CONNECTIONS = 4096
"""Twice the 2,000 slow ones that must not be felt; at worst they hold 100 MiB of half requests."""

RESERVED_FDS = 2048 + 256
"""Not for connections: as many as may be accepted at one stroke, and what the service opens."""


class Connection(Protocol):
    """A connection."""

    def make_room(self) -> None:
        """Close at once."""
        ...


class ConnectionLimiter:
    """Knows who is waited for: those from whom a request is due, and those who rest between two."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._here: set[Connection] = set()
        self._due: dict[
            Connection, None
        ] = {}  # dicts keep their order: who has been here longest first
        self._resting: dict[Connection, None] = {}

    def enter(self, guest: Connection) -> None:
        """Take in a new connection, from which a request is due.

        When there is no place, the one goes from which a request is due for the longest time, else
        the one that has rested longest; and only when all others are being answered, the guest.
        """
        if len(self._here) >= self._places:
            loser = next(chain(self._due, self._resting, [guest]))
            self.leave(loser)
            loser.make_room()
            if loser is guest:
                return
        self._here.add(guest)
        self.awaits(guest)

    def awaits(self, guest: Connection) -> None:
        """A request is due: it has begun, or nothing has come yet."""
        self._resting.pop(guest, None)
        self._due[guest] = None

    def serves(self, guest: Connection) -> None:
        """A request has come; as long as it is answered, the guest stays."""
        self._due.pop(guest, None)

    def rests(self, guest: Connection) -> None:
        """It has been answered, and the connection is kept."""
        self._resting[guest] = None

    def leave(self, guest: Connection) -> None:
        """The connection is gone."""
        self._here.discard(guest)
        self._due.pop(guest, None)
        self._resting.pop(guest, None)


def raise_fd_limit(most: int = MAX_CONNECTIONS) -> int:
    """Raise the limit on open files as far as it is needed and allowed; how many connections fit.

    The soft limit is often 1,024 for the sake of programs that use select(2), which this is not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit, wanted = _number(soft), most + RESERVED_FDS
    if limit < wanted:
        limit = min(wanted, _number(hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return min(most, max(limit - RESERVED_FDS, limit // 2))


def _number(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit
