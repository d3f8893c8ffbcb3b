"""The values of the core, all frozen. Instants are aware UTC datetimes in whole seconds.

Secret and personal members are left out of every repr, because reprs end up in tracebacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict


def epoch(moment: datetime) -> int:
    """The seconds since 1970, as stores and tokens hold an instant."""
    return int(moment.timestamp())


def instant(seconds: bytes | int) -> datetime:
    """The instant of so many seconds since 1970."""
    return datetime.fromtimestamp(int(seconds), UTC)


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, as the verified token of the identity provider describes them.

    `claims` are OpenID Connect standard claims (OIDC Core 5.1) without `sub`. Unknown claims are
    absent, never null.
    """

    subject: str
    claims: Mapping[str, Any] = field(repr=False)
    authenticated_at: datetime


class Device(TypedDict, total=False):
    """The device as described at login. It is shown to the user, never trusted."""

    id: str
    type: str
    name: str
    app_version: str


class EndReason(StrEnum):
    """Why a session has ended. The app gets this word."""

    LOGGED_OUT = "logged_out"
    REVOKED = "revoked"
    KICKED = "kicked"
    REPLACED = "replaced"
    BANNED = "banned"
    ACCOUNT_BLOCKED = "account_blocked"
    EXPIRED = "expired"
    REFRESH_REUSED = "refresh_reused"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class End:
    """Why sessions end, and when.

    `cause` is, for `revoked`, the id of the session that asked for it; for `replaced` the limit,
    beside the type of the new device; for `refresh_reused` the kind of reuse.
    """

    reason: EndReason
    now: datetime
    cause: str = ""
    replaced_by: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in device, which is also one family of refresh tokens.

    `generation` counts rotations. `secret_kid` names the key of its refresh token, so that a replay
    computes the same token after a change of keys. `last_used_at` is the time of the login or of
    the last rotation. A refresh moves `expires_at`, never past `absolute_expires_at`. A bound
    session has the thumbprint of its key (RFC 7638), and in `seen_proofs` the ids of its newest
    proofs, between spaces.
    """

    id: str
    subject: str
    generation: int
    secret_kid: str
    encrypted_profile: bytes = field(repr=False)
    authenticated_at: datetime
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    absolute_expires_at: datetime
    device_type: str | None = None
    key_thumbprint: str | None = None
    seen_proofs: str | None = field(default=None, repr=False)


MAX_SEEN_PROOFS = 8
"""The ids of proofs that a session keeps, the greatest ones. A smaller one counts as used."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof of possession (RFC 9449) that is good for this request, if its key is the session's.

    `id` is the time of its nonce and a hash of its `jti`, in 32 hex digits, so ids are in the order
    of time; it is empty if the nonce is not a current one of ours.
    """

    thumbprint: str
    id: str


GivenProof: TypeAlias = Proof | Literal["ignored", "missing", "required", "invalid"]
"""What a request proves. `ignored`: not checked. `missing`: none sent. `required`: none sent, but
every session needs one. `invalid`: sent, and not good."""


class Revocation(TypedDict):
    """A session that has ended; without `sub` if its user was erased.

    Its last access token expires at `expires_at`. Then a verifier may forget it.
    """

    sid: str
    sub: NotRequired[str]
    reason: EndReason
    ended_at: int
    expires_at: int


def revocation(sid: str, sub: str | None, reason: str, *times: bytes | int) -> Revocation:
    """The revocation from a stored row: `ended_at` and `expires_at` are the last two."""
    ended_at, expires_at = map(int, times)
    told = Revocation(sid=sid, reason=EndReason(reason), ended_at=ended_at, expires_at=expires_at)
    return {**told, "sub": sub} if sub else told


@dataclass(frozen=True, slots=True)
class RevocationPage:
    """A part of the feed, oldest first, each with the cursor after it. `more`: ask again now."""

    revocations: Sequence[tuple[str, Revocation]]
    cursor: str
    more: bool


@dataclass(frozen=True, slots=True)
class Note:
    """An event of a session or of a user's bans: how often it happened, and when.

    `event` is one of EVENTS in `history`. `kind` is the fault of a refused proof. Equal events of
    one session are one note.
    """

    event: str
    kind: str
    count: int
    first_at: int
    last_at: int


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as the history shows it, also after its tombstone is deleted. "" means None.

    All times are epoch seconds. `expires_at` is the idle limit, or the time of the end. `end_cause`
    is the `cause` of its `End`.
    """

    notes: Sequence[Note]
    id: str
    device_type: str | None
    app_version: str | None
    refreshes: int
    created_at: int
    last_used_at: int
    expires_at: int
    absolute_expires_at: int
    end_reason: str | None
    end_cause: str | None
    replaced_by: str | None


Found: TypeAlias = tuple[Sequence[SessionRecord], Sequence[Note]]
"""The sessions of a user, or one session, and the notes about the user's bans."""


@dataclass(frozen=True, slots=True)
class Ban:
    """A ban until an instant, or (None) until it is lifted. `reason` is a word for the operator."""

    subject: str
    reason: str
    created_at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Profile:
    """The decrypted profile of a session: the user's claims and the device."""

    claims: Mapping[str, Any] = field(repr=False)
    device: Device = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The result of a login or a refresh. Lifetimes are in seconds from `issued_at`."""

    session: Session
    profile: Profile
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    issued_at: datetime
    expires_in: int
    refresh_expires_in: int
    replayed: bool
