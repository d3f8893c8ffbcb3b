"""Our two tokens: how they are written, and what must hold before one is believed.

The access token is a JWS that anybody can verify from our JWKS (RFC 9068). The refresh token is
opaque to the app: session and generation under a MAC. It is computed, never stored, so a dump of
the store yields none, and whoever holds the keys computes the same successor again.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import jwt

from app.errors import AccessTokenExpired, AccessTokenInvalid, RefreshTokenInvalid
from app.jose import jws
from app.jose.key_ring import BindingKey, KeyRing
from app.sessions.models import Session

SESSION_ID_BYTES = 16
_PREFIX = "rt_"
_MAC_BYTES = 32
_GENERATION_BYTES = 4
_REFRESH_TOKEN = re.compile(r"rt_[A-Za-z0-9_-]{70}", re.ASCII)
_HEADER_MEMBERS = frozenset({"alg", "typ", "kid"})
# The generation stands in `jti`, so that a verifier of ours that looks at the store knows whether
# the *successor* is in use, while no claim is added to RFC 9068's.
_JTI = re.compile(r"(?P<generation>[0-9]{1,10})\.[A-Za-z0-9_-]{22}", re.ASCII)
_CLOCK_SKEW = timedelta(seconds=30)
_LOCATOR_LENGTH = 2


def locator_of(subject: str) -> str:
    """The two characters with which the ids of all the user's sessions begin.

    A refresh token tells a store no more than the session's id. By the locator, a store that is
    spread over machines keeps all that is one user's in one place, and can still find it.
    """
    return _encode(hashlib.sha256(subject.encode()).digest())[:_LOCATOR_LENGTH]


def new_session_id(subject: str) -> str:
    """The locator and 116 random bits: 128 bits as base64url, 22 characters."""
    return locator_of(subject) + secrets.token_urlsafe(SESSION_ID_BYTES)[_LOCATOR_LENGTH:]


# --- the refresh token ---


class RefreshClaims(NamedTuple):
    """What a genuine refresh token says."""

    session_id: str
    generation: int


def write_refresh_token(key: BindingKey, session_id: str, generation: int) -> str:
    """Compute the refresh token of this generation; the same arguments give the same token."""
    message = _decode(session_id) + generation.to_bytes(_GENERATION_BYTES, "big")
    return _PREFIX + _encode(message + key.mac(message))


def read_refresh_token(ring: KeyRing, token: str) -> RefreshClaims:
    """Check the MAC against every accepted key and take the token apart.

    Raises:
        RefreshTokenInvalid: not written by us.
    """
    if not _REFRESH_TOKEN.fullmatch(token):
        raise RefreshTokenInvalid
    data = _decode(token.removeprefix(_PREFIX))
    message, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
    genuine = [hmac.compare_digest(mac, key.mac(message)) for key in ring.binding]
    if not any(genuine) or _PREFIX + _encode(data) != token:
        raise RefreshTokenInvalid
    return RefreshClaims(
        session_id=_encode(message[:SESSION_ID_BYTES]),
        generation=int.from_bytes(message[SESSION_ID_BYTES:], "big"),
    )


# --- the access token ---


class AccessClaims(NamedTuple):
    """What a genuine access token says, as far as we need it."""

    session_id: str
    generation: int
    subject: str


@dataclass(frozen=True, slots=True)
class AccessTokenProfile:
    """The fixed part of our access tokens. `max_lifetime` bounds `exp - iat`."""

    issuer: str
    audience: str
    client_id: str
    max_lifetime: timedelta

    def write(self, ring: KeyRing, session: Session, now: datetime) -> tuple[str, int]:
        """Sign an access token; return it with its lifetime in seconds.

        It never outlives the session (contract section 4, promise 6).
        """
        expires_at = min(now + self.max_lifetime, session.expires_at)
        issued, expires = int(now.timestamp()), int(expires_at.timestamp())
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": session.subject,
            "sid": session.id,
            "jti": f"{session.generation}.{secrets.token_urlsafe(16)}",
            "client_id": self.client_id,
            "iat": issued,
            "exp": expires,
            "auth_time": int(session.authenticated_at.timestamp()),
        }
        key = ring.signer
        header = {"typ": "at+jwt", "kid": key.kid}
        token = jwt.encode(claims, key.private, algorithm=key.algorithm, headers=header)
        return token, expires - issued

    def read(self, ring: KeyRing, token: str, now: datetime) -> AccessClaims:
        """Believe a token only if every part of it is as we write it. `exp` has no leeway.

        Raises:
            AccessTokenExpired: genuine, but over.
            AccessTokenInvalid: anything else, without saying what.
        """
        try:
            return self._read(ring, token, now)
        except jws.InvalidJws:
            raise AccessTokenInvalid from None

    def _read(self, ring: KeyRing, token: str, now: datetime) -> AccessClaims:
        unverified_header = jws.unverified_header(token, allowed=_HEADER_MEMBERS)
        key = ring.verifier(unverified_header.get("kid"))
        if key is None or unverified_header.get("typ") != "at+jwt":
            raise jws.InvalidJws
        if unverified_header["alg"] != key.algorithm:
            raise jws.InvalidJws
        claims = jws.verified_claims(token, key.public, key.algorithm)
        expected = {"iss": self.issuer, "aud": self.audience, "client_id": self.client_id}
        if any(claims.get(name) != value for name, value in expected.items()):
            raise jws.InvalidJws
        access_claims = _access_claims(claims)
        self._check_times(claims, now)  # last, so that only a genuine token is called expired
        return access_claims

    def _check_times(self, claims: Any, now: datetime) -> None:
        issued_at, expires_at = jws.instant(claims, "iat"), jws.instant(claims, "exp")
        jws.instant(claims, "auth_time")
        # Not written by us, but whoever finds it must obey it (RFC 7519 section 4.1.5).
        not_before = jws.instant(claims, "nbf") if "nbf" in claims else issued_at
        if max(issued_at, not_before) > now + _CLOCK_SKEW:
            raise jws.InvalidJws
        if expires_at - issued_at > self.max_lifetime:
            raise jws.InvalidJws
        if expires_at <= now:
            raise AccessTokenExpired


def _access_claims(claims: Any) -> AccessClaims:
    subject, session_id, token_id = (claims.get(name) for name in ("sub", "sid", "jti"))
    if not all(isinstance(value, str) and value for value in (subject, session_id, token_id)):
        raise jws.InvalidJws
    parsed = _JTI.fullmatch(token_id)
    if parsed is None:
        raise jws.InvalidJws
    return AccessClaims(session_id, int(parsed["generation"]), subject)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
