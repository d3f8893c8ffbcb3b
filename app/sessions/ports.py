"""The core's seams: who vouches for users, where sessions are kept, which keys, what time it is.

Named for their role; the implementations elsewhere are named for their technology.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

from app.sessions.keys import KeyRing
from app.sessions.models import Ending, Identity, Session

Clock: TypeAlias = Callable[[], datetime]
"""Returns the current instant, aware, in UTC."""


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


@dataclass(frozen=True, slots=True)
class Active:
    """The session lives."""

    session: Session


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over, and this is why."""

    reason: Ending


@dataclass(frozen=True, slots=True)
class Unknown:
    """No such session, or its tombstone is gone too."""


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


class SessionStore(Protocol):
    """Keeps sessions. Every command is atomic and durable before it returns.

    All raise StoreUnavailable when the store cannot be asked; that says nothing about a session.
    """

    async def add(self, session: Session) -> None:
        """Keep a new session."""
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

    async def end(self, session_id: str, reason: Ending, now: datetime) -> bool:
        """End the session under this name. False if it was over, or not there, already."""
        ...

    async def purge(self, now: datetime) -> int:
        """Forget what has been over for longer than tombstones are kept; how many rows went."""
        ...

    async def check_writable(self) -> None:
        """Return if a write would succeed now."""
        ...
