"""The outcomes of store commands. Each command returns one of a few of these values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from app.sessions.models import EndReason, Session


@dataclass(frozen=True, slots=True)
class Active:
    """The session is active."""

    session: Session


class Bearer(NamedTuple):
    """The session of an access token is active: its user and its device type."""

    subject: str
    device_type: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The session has ended for this reason. `changed`: this command ended it."""

    reason: EndReason
    replaced_by: str | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such session, or its tombstone has been purged."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """The refresh token was the current one; its successor is current now.

    `rolled_forward`: it was one generation ahead of a store that must have lost a write.
    """

    session: Session
    rolled_forward: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """The refresh token was the predecessor of the current token, which is not used yet.

    `replays` counts those of this generation, this one included. `replayed_generations` counts the
    generations in a row that were replayed, up to this one.
    """

    session: Session
    replays: int = 1
    replayed_generations: int = 1


ReuseKind: TypeAlias = Literal["recent_previous", "other_key", "stale", "ahead"]


@dataclass(frozen=True, slots=True)
class Reused:
    """The refresh token was used before. The session has ended, and this is committed."""

    kind: ReuseKind


ProofFault: TypeAlias = Literal["required", "invalid", "other_key", "nonce", "reused"]


@dataclass(frozen=True, slots=True)
class ProofRefused:
    """The session is active, and nothing has changed: the proof of possession is not good.

    `nonce`: all but its nonce is good. `reused`: accepted before, or too old to know.
    """

    kind: ProofFault


@dataclass(frozen=True, slots=True)
class Acquired:
    """The ticket is leased to this login."""


@dataclass(frozen=True, slots=True)
class Held:
    """Another login holds the lease, until `lease_ends_at` at the latest."""

    lease_ends_at: datetime


@dataclass(frozen=True, slots=True)
class AlreadyUsed:
    """The ticket has a session, given only to its own key while it is active and not refreshed."""

    session: Session | None


@dataclass(frozen=True, slots=True)
class KeyConflict:
    """The idempotency key belongs to another ticket."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The session is stored. `replaced` are the ids of the sessions that it replaced."""

    replaced: Sequence[str]


@dataclass(frozen=True, slots=True)
class Banned:
    """The user is banned; `until` None means without end."""

    until: datetime | None


Lookup: TypeAlias = Active | Ended | Unknown
Acquisition: TypeAlias = Acquired | Held | AlreadyUsed | KeyConflict
Creation: TypeAlias = Opened | AlreadyUsed | Banned
Refresh: TypeAlias = Rotated | Replayed | Reused | ProofRefused | Ended | Unknown
"""What the look-up of a session, a ticket's lease, a login and a refresh may return."""
