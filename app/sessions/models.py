"""The nouns of the core, as frozen values. Instants are aware UTC datetimes, whole seconds.

What is secret or personal is left out of every repr, because reprs end up in tracebacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """A user for whom the identity provider vouches. Made only from a token that verified.

    `claims` are OpenID Connect standard claims (OIDC Core 5.1) without `sub`; what is not known is
    absent, never null.
    """

    subject: str
    claims: Mapping[str, Any] = field(repr=False)
    authenticated_at: datetime


@dataclass(frozen=True, slots=True)
class Device:
    """What the app says of the phone it runs on. Shown to the user, never trusted."""

    id: str | None = field(default=None, repr=False)
    type: str | None = None
    name: str | None = field(default=None, repr=False)
    app_version: str | None = None


class EndReason(StrEnum):
    """Why a session is over; the app is told this word."""

    LOGGED_OUT = "logged_out"
    REVOKED = "revoked"
    KICKED = "kicked"
    REPLACED = "replaced"
    BANNED = "banned"
    EXPIRED = "expired"
    REFRESH_REUSED = "refresh_reused"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in device; also one family of refresh tokens.

    `generation` counts rotations. `secret_kid` names the key that binds the refresh token of this
    generation, so that a replay computes the same token even after another key became current.
    `encrypted_profile` is the user's claims and the device, encrypted. `last_used_at` is when the
    current generation was made: at login, then by each rotation. The session is over at
    `expires_at` unless it is refreshed before; a refresh moves that, but never past
    `absolute_expires_at`.
    """

    id: str
    subject: str
    device_type: str | None
    generation: int
    secret_kid: str
    encrypted_profile: bytes = field(repr=False)
    authenticated_at: datetime
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    absolute_expires_at: datetime


@dataclass(frozen=True, slots=True)
class Ban:
    """A user who may not have sessions, until an instant or until it is lifted.

    `reason` is a word of the operator's vocabulary, for the operator; the user is not told.
    """

    subject: str
    reason: str
    created_at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Profile:
    """The sealed part of a session, opened: the user's claims and the device."""

    claims: Mapping[str, Any] = field(repr=False)
    device: Device | None


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login or a refresh hands to the app. Lifetimes in seconds from `issued_at`."""

    session: Session
    profile: Profile
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    issued_at: datetime
    expires_in: int
    refresh_expires_in: int
    replayed: bool
