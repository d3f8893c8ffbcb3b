"""The interfaces through which the core uses stores, Authing, keys and the clock.

Every store command is atomic, and durable before it returns. It raises StoreUnavailable if the
store cannot be reached. That ends no session (promise 9).
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias

from app.jose.key_ring import KeyRing
from app.sessions import outcomes
from app.sessions.models import Ban, End, Found, GivenProof, Identity, RevocationPage, Session

Clock: TypeAlias = Callable[[], datetime]
"""Returns the current instant in UTC, in whole seconds, as responses and stores hold it."""


class IdentityProvider(Protocol):
    """Turns a one-time ticket into a user."""

    async def exchange(self, ticket: str, network: str) -> Identity:
        """Exchange the ticket. The provider may consume it, so do not repeat the call.

        `network` names the client's network. One network cannot use up what is for all. Raise
        LoginRefused if the ticket or the user is refused for good, AuthingError without a result.
        """


class UserDirectory(Protocol):
    """Knows the users of the identity provider."""

    async def may_sign_in(self, subject: str) -> bool:
        """Return whether the user is known and not blocked, or raise AuthingError."""
        ...


class KeySource(Protocol):
    """Holds the current keys, which may change while the service runs."""

    @property
    def ring(self) -> KeyRing:
        """The current key ring."""


RateLimit: TypeAlias = Callable[[str], Coroutine[Any, Any, None]]
"""Counts one request of a name, such as a client address or a session id, or raises RateLimited."""


@dataclass(frozen=True, slots=True)
class TicketLease:
    """One login's exclusive use of a ticket while it is exchanged; `holder` is unique to it.

    Ticket and idempotency key are SHA-256 hashes. After `lease_ends_at` another login may take
    over. At `expires_at` the ticket itself has expired, and the lease is deleted.
    """

    ticket_hash: bytes
    key_hash: bytes | None
    holder: str
    now: datetime
    lease_ends_at: datetime
    expires_at: datetime


MAX_SESSIONS = 1000
"""The highest limit of sessions per user. No command visits more sessions of a user at once."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How many sessions a user may have: `max_per_user` is 1 to MAX_SESSIONS."""

    max_per_user: int
    one_per_device_type: bool


class TicketStore(Protocol):
    """Makes sure that one ticket becomes one session (promises 1 and 2)."""

    async def acquire(self, lease: TicketLease) -> outcomes.Acquisition:
        """Lease a ticket before it is exchanged."""

    async def release(self, lease: TicketLease) -> None:
        """Release this lease, so that the ticket can be tried again. Other leases stay."""

    async def create_session(
        self, lease: TicketLease, session: Session, limits: SessionLimits, app_version: str = ""
    ) -> outcomes.Creation:
        """Store the session as the one of this ticket, unless the ticket has another already.

        A ban of the user releases the lease in the same step. `app_version` is for the history.
        """


@dataclass(frozen=True, slots=True)
class Rotation:
    """One presented refresh token, as a command to the store.

    `presented` is its generation. `secret_kid` names the key of the successor, if one is made.
    `key_hash` is the SHA-256 hash of the app's idempotency key. With `dry_run` nothing changes: the
    store tells the outcome and the session as it is now.
    """

    session_id: str
    presented: int
    secret_kid: str
    key_hash: bytes | None
    now: datetime
    idle_ttl: timedelta
    recovery_window: timedelta
    proof: GivenProof = "missing"
    dry_run: bool = False


TOMBSTONE_TTL = timedelta(days=7)
"""How long an ended or expired session tells the app why it is over, at least (promise 5)."""


class SessionStore(Protocol):
    """Keeps sessions, and their tombstones for TOMBSTONE_TTL."""

    async def touch(self, session_id: str, generation: int, now: datetime) -> outcomes.Lookup:
        """Find the session of an access token of this generation.

        The first use of the current generation ends the recovery window of its predecessor.
        """

    async def check(
        self, session_id: str, generation: int, now: datetime
    ) -> outcomes.Bearer | outcomes.Ended | outcomes.Unknown:
        """Do the same as `touch`, but return only the user and the device type."""
        found = await self.touch(session_id, generation, now)
        if isinstance(found, outcomes.Active):
            return outcomes.Bearer(found.session.subject, found.session.device_type)
        return found

    async def rotate(self, rotation: Rotation) -> outcomes.Refresh:
        """Compare generations, then rotate, replay or end the session (promises 3 and 4).

        The proof is judged first: without a good one nothing changes. It binds a session.
        """

    async def active_sessions(self, subject: str, now: datetime) -> Sequence[Session]:
        """The user's active sessions, oldest first: the MAX_SESSIONS newest, if there are more."""

    async def end(
        self, session_id: str, subject: str | None, end: End
    ) -> outcomes.Ended | outcomes.Unknown:
        """End a session of this user (None: of any), also an expired one. An earlier end stays."""

    async def end_all(self, subject: str, end: End, *, keep: str | None = None) -> Sequence[str]:
        """End the user's sessions except `keep`; return the ids of those that had not ended."""

    async def schedule_look(
        self, subject: str, now: datetime, pause: timedelta, *, force: bool = False
    ) -> bool:
        """Return whether a look at the user is due. If so, the next one is due after this pause.

        With `force` it is always due. Of concurrent callers without it, one gets True.
        """

    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        """End the user's sessions, and remove the user from them and from older tombstones."""

    async def revocations(self, after: str, now: datetime, access_ttl: timedelta) -> RevocationPage:
        """The sessions that ended after this cursor, in the order of the commits.

        Those whose last access token has expired at `now` are left out, and so are expiries. After
        an unknown cursor the page begins with the oldest. A page has at most MAX_SESSIONS.
        """


MAX_LISTED_BANS = 1000
"""Bans in one list. A longer list would hold up the commands of other users."""


class BanStore(Protocol):
    """Keeps the bans of users."""

    async def put(self, ban: Ban) -> Sequence[str]:
        """Ban the user and end all sessions of the user; return the ids of those."""

    async def lift(self, subject: str, now: datetime) -> None:
        """Delete the ban, if there is one."""

    async def find(self, subject: str, now: datetime) -> Ban | None:
        """The ban in force."""

    async def list_bans(self, now: datetime) -> Sequence[Ban]:
        """The bans in force, at most MAX_LISTED_BANS; those that last longest come first."""


class HistoryStore(Protocol):
    """Tells what has happened to sessions, for at least as long as EVENTS_TTL.

    The commands of the other ports write it, each in its own step. An erasure deletes it.
    """

    async def find(self, *, subject: str = "", session_id: str = "") -> Found:
        """The user's sessions, at most MAX_SESSIONS of the newest, and the notes about bans.

        Instead of a user: this session, if it is known and its user is not erased.
        """


class Maintenance(Protocol):
    """Purges and checks the store."""

    async def purge(self, now: datetime) -> int:
        """Delete what has expired or was erased for good; return how many rows expired."""

    async def newest_login(self) -> datetime | None:
        """When the newest session began; None if there is none, or if purges need no clock."""
        return None

    async def count_sessions(self, now: datetime) -> int | None:
        """About how many sessions are open; None if the store does not tell."""

    async def check_writable(self) -> None:
        """Write something, to see that the store can be written."""


Count: TypeAlias = Callable[[str, int, int], Awaitable[float | None]]
"""Gets a name, an amount and seconds. Counts one request of the name and returns None.

If this amount was counted within these seconds, it returns the seconds until the next is possible.
"""


@dataclass(frozen=True, slots=True)
class Stores:
    """The ports of one open store. `count` is None if only one instance can use the store."""

    tickets: TicketStore
    sessions: SessionStore
    bans: BanStore
    history: HistoryStore
    maintenance: Maintenance
    count: Count | None = None
