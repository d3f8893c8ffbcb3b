"""The core's seams: who vouches for users, where sessions are kept, which keys, what time it is.

Named for their role; the implementations elsewhere are named for their technology.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

from app.jose.key_ring import KeyRing
from app.sessions.models import Ban, Ending, Identity, Session

Clock: TypeAlias = Callable[[], datetime]
"""Returns the current instant: aware, in UTC, in whole seconds, so that limits are exact on the
wire and in rows."""


class IdentityProvider(Protocol):
    """Turns a one-time ticket into a user."""

    async def exchange(self, ticket: str) -> Identity:
        """Exchange the ticket. Not repeatable: the provider may consume it.

        Raises:
            LoginRefused: a definite no.
            AuthingError: no verdict could be had.
        """
        ...


class KeySource(Protocol):
    """Gives the keys in force now; they may change while the service runs."""

    @property
    def ring(self) -> KeyRing:
        """The current key ring."""
        ...


class Audit(Protocol):
    """Takes note of what happens to sessions. Gets ids and closed words, nothing personal."""

    def __call__(self, event: str, *, session_id: str, **labels: str) -> None:
        """Record one event."""
        ...


class RefreshLimit(Protocol):
    """Says how often a session may be refreshed."""

    async def __call__(self, session_id: str, /) -> None:
        """Count one refresh of the session.

        Raises:
            RateLimited: it is one too many.
        """
        ...


# --- what became of a session ---


@dataclass(frozen=True, slots=True)
class Active:
    """The session lives."""

    session: Session


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over, and this is why. `just_now`: by this very command."""

    reason: Ending
    replaced_by: str | None = None
    just_now: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """No such session, or its tombstone is gone too."""


# --- a refresh ---


@dataclass(frozen=True, slots=True)
class Rotation:
    """One presented refresh token, as a command to the store.

    `presented` is its generation. `binding_kid` is for the successor, if one is made.
    """

    session_id: str
    presented: int
    binding_kid: str
    now: datetime
    idle_ttl: timedelta
    recovery_window: timedelta


@dataclass(frozen=True, slots=True)
class Rotated:
    """The refresh token was the current one and has been replaced by its successor.

    `healed`: it was one generation ahead of the store, which must have lost a write.
    """

    session: Session
    healed: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """The refresh token was the predecessor of the current, unused one, which is given again."""

    session: Session


ReuseKind: TypeAlias = Literal["recent_previous", "stale", "ahead"]


@dataclass(frozen=True, slots=True)
class Reused:
    """The refresh token was spent. The session has been ended for it; this is committed."""

    kind: ReuseKind


# --- a login ---


@dataclass(frozen=True, slots=True)
class Claim:
    """One login's hold on a ticket, so that nobody else exchanges it meanwhile.

    Ticket and idempotency key are only hashes. `holder` is unique to the attempt. When
    `lease_ends_at` has passed, the holder must have died and another may take over; at
    `expires_at` the ticket itself is over and the claim is forgotten.
    """

    ticket_hash: bytes
    key_hash: bytes | None
    holder: str
    now: datetime
    lease_ends_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Claimed:
    """The ticket is ours to exchange."""


@dataclass(frozen=True, slots=True)
class ClaimHeld:
    """Another login is exchanging the ticket, until then at the latest."""

    lease_ends_at: datetime


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The ticket has become a session already.

    The session is told to the one who comes with the same idempotency key, as long as it lives and
    has not been refreshed.
    """

    session: Session | None


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """The idempotency key belongs to another ticket."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How many sessions a user may have; 0 is any number."""

    max_per_user: int
    one_per_device_type: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """The session is kept. `replaced` are the ids of those that had to go for it."""

    replaced: Sequence[str]


@dataclass(frozen=True, slots=True)
class Banned:
    """The user may not have sessions; None is without end."""

    until: datetime | None


class SessionStore(Protocol):
    """Keeps sessions, claims and bans. Every command is atomic and durable before it returns.

    All raise StoreUnavailable when the store cannot be asked; that says nothing about a session.
    """

    async def claim(self, claim: Claim) -> Claimed | ClaimHeld | Redeemed | KeyTaken:
        """Take hold of a ticket before it is exchanged."""
        ...

    async def release(self, claim: Claim) -> None:
        """Let go of a ticket that became no session. Does nothing if somebody else holds it."""
        ...

    async def open(
        self, claim: Claim, session: Session, limits: SessionLimits
    ) -> Opened | Redeemed | Banned:
        """Keep a new session and note that the ticket became it, unless it has become another.

        A ban is looked at in the same step, and releases the claim.
        """
        ...

    async def see(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        """Look the session up for a bearer of an access token of this generation.

        Seeing the current generation in use closes the recovery window of its predecessor.
        """
        ...

    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        """Rotate, replay, or end the session, by comparing generations (contract section 4)."""
        ...

    async def sessions_of(self, subject: str, now: datetime) -> Sequence[Session]:
        """The user's living sessions, oldest first."""
        ...

    async def end(
        self, session_id: str, subject: str, reason: Ending, now: datetime
    ) -> Ended | Unknown:
        """End a session of this user under this name; the first name that is given stays."""
        ...

    async def end_all(
        self, subject: str, reason: Ending, now: datetime, *, keep: str | None = None
    ) -> Sequence[str]:
        """End the user's living sessions, all but `keep`; which ones ended."""
        ...

    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        """End the user's sessions and forget whose they and their tombstones were."""
        ...

    async def ban(self, ban: Ban) -> Sequence[str]:
        """Ban the user and end all their sessions in the same step; which ones ended."""
        ...

    async def lift_ban(self, subject: str) -> None:
        """Forget the ban, if there is one."""
        ...

    async def find_ban(self, subject: str, now: datetime) -> Ban | None:
        """The ban in force."""
        ...

    async def purge(self, now: datetime) -> int:
        """Forget what is over for good; how many rows went."""
        ...

    async def check_writable(self) -> None:
        """Return if a write would succeed now."""
        ...
