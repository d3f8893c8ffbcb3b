"""The interfaces through which the core reaches the outside.

Named for their role; the implementations are named for their technology. Every store command is
atomic and durable before it returns, and raises StoreUnavailable when the store cannot be asked.
That says nothing about a session: it lives on (promise 9).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from app.jose.key_ring import KeyRing
from app.sessions.models import Ban, EndReason, Identity, Session
from app.sessions.outcomes import (
    Acquired,
    Active,
    AlreadyUsed,
    Banned,
    Ended,
    Held,
    KeyConflict,
    Opened,
    Replayed,
    Reused,
    Rotated,
    Unknown,
)

Clock: TypeAlias = Callable[[], datetime]
"""Returns the current instant: aware, in UTC, in whole seconds, so that limits are exact in
responses and in rows."""


class IdentityProvider(Protocol):
    """Turns a one-time ticket into a user."""

    async def exchange(self, ticket: str) -> Identity:
        """Exchange the ticket. Not repeatable: the provider may consume it.

        Raises:
            LoginRefused: the ticket or the user is refused for good.
            AuthingError: the provider could not be asked, or not be believed.
        """
        ...


class KeySource(Protocol):
    """Gives the keys in force now; they may change while the service runs."""

    @property
    def ring(self) -> KeyRing:
        """The current key ring."""
        ...


class RateLimit(Protocol):
    """Counts requests by name: a client address, a session id."""

    async def __call__(self, name: str, /) -> None:
        """Count one request of this name.

        Raises:
            RateLimited: it is one too many.
        """
        ...


# --- tickets ---


@dataclass(frozen=True, slots=True)
class TicketLease:
    """One login's exclusive use of a ticket while it is exchanged.

    Ticket and idempotency key are only hashes (SHA-256). `holder` is unique to the attempt. After
    `lease_ends_at` the holder must have died and another login may take over; at `expires_at` the
    ticket itself has expired and the lease is forgotten.
    """

    ticket_hash: bytes
    key_hash: bytes | None
    holder: str
    now: datetime
    lease_ends_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How many sessions a user may have; `max_per_user` 0 means any number."""

    max_per_user: int
    one_per_device_type: bool


class TicketStore(Protocol):
    """Makes sure that one ticket becomes one session (promises 1 and 2)."""

    async def acquire(self, lease: TicketLease) -> Acquired | Held | AlreadyUsed | KeyConflict:
        """Lease a ticket before it is exchanged."""
        ...

    async def release(self, lease: TicketLease) -> None:
        """Give up the lease of a ticket that became no session. No effect on another's lease."""
        ...

    async def create_session(
        self, lease: TicketLease, session: Session, limits: SessionLimits
    ) -> Opened | AlreadyUsed | Banned:
        """Store a new session and note that the ticket became it, unless it has become another.

        A ban is looked at in the same step, and releases the lease.
        """
        ...


# --- sessions ---


@dataclass(frozen=True, slots=True)
class Rotation:
    """One presented refresh token, as a command to the store.

    `presented` is its generation. `secret_kid` is for the successor, if one is made.
    """

    session_id: str
    presented: int
    secret_kid: str
    now: datetime
    idle_ttl: timedelta
    recovery_window: timedelta


class SessionStore(Protocol):
    """Keeps sessions, and their tombstones for seven days."""

    async def touch(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        """Look the session up for a bearer of an access token of this generation.

        The first use of the current generation closes the recovery window of its predecessor.
        """
        ...

    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        """Rotate, replay, or end the session, by comparing generations (promises 3 and 4)."""
        ...

    async def active_sessions(self, subject: str, now: datetime) -> Sequence[Session]:
        """The user's active sessions, oldest first."""
        ...

    async def end(
        self, session_id: str, subject: str, reason: EndReason, now: datetime
    ) -> Ended | Unknown:
        """End a session of this user. The first reason that is given stays."""
        ...

    async def end_all(
        self, subject: str, reason: EndReason, now: datetime, *, keep: str | None = None
    ) -> Sequence[str]:
        """End the user's active sessions except `keep`; return the ids of those that ended."""
        ...

    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        """End the user's sessions, and remove the user from them and from older tombstones."""
        ...


# --- bans ---


class BanStore(Protocol):
    """Keeps users who may not have sessions."""

    async def put(self, ban: Ban) -> Sequence[str]:
        """Ban the user and end all their sessions in the same step; return the ended ids."""
        ...

    async def lift(self, subject: str) -> None:
        """Delete the ban, if there is one."""
        ...

    async def find(self, subject: str, now: datetime) -> Ban | None:
        """The ban in force."""
        ...


# --- the store as a whole ---


class Maintenance(Protocol):
    """Looks after the store itself."""

    async def purge(self, now: datetime) -> int:
        """Delete what has expired for good; return how many rows."""
        ...

    async def check_writable(self) -> None:
        """Return if a write would succeed now."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """One open store: its three ports, and its maintenance."""

    tickets: TicketStore
    sessions: SessionStore
    bans: BanStore
    maintenance: Maintenance
