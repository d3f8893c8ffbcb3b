"""Access tokens and refresh tokens.

An access token is a JWT that any service can verify with our JWKS (RFC 9068). A refresh token is a
session id and a generation under a MAC, opaque to the app. It is computed and never stored. So a
dump of the store contains none, and every instance computes the same successor (promise 3).
"""

import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, NamedTuple

from app.errors import AccessTokenExpired, AccessTokenInvalid, RefreshTokenInvalid
from app.jose import jws
from app.jose.key_ring import KeyRing, SecretKey
from app.sessions.models import Session

_HEADER_MEMBERS = frozenset({"alg", "typ", "kid"})
# `jti` holds the generation, so that a use of the token shows which generation is in use. RFC 9068
# gets no additional claim by this.
_JTI = re.compile(r"(?P<generation>[0-9]{1,10})\.[A-Za-z0-9_-]{22}", re.ASCII)
_TYPE = "at+jwt"
_REMEMBERED = 10_000
_CLOCK_SKEW = timedelta(seconds=30)

SESSION_ID_BYTES = 16
PREFIX = "rt_"
_MAC_BYTES = 32
_GENERATION_BYTES = 4
_REFRESH_TOKEN = re.compile(r"rt_[A-Za-z0-9_-]{70}", re.ASCII)


class AccessClaims(NamedTuple):
    """The claims of a genuine access token that this service uses."""

    session_id: str
    generation: int
    subject: str
    issued_at: datetime
    expires_at: datetime
    not_before: datetime


@dataclass(slots=True, eq=False)
class AccessTokenCodec:
    """Issues and verifies access tokens. `max_lifetime` is the limit of `exp - iat`.

    It remembers the last 10,000 genuine tokens (11 MB), because an app sends each one many times:
    tokens and not hashes, because the keys that can sign any token are in the same memory. A change
    of the keys forgets them.
    """

    issuer: str
    audience: str
    client_id: str
    max_lifetime: timedelta
    _ring: KeyRing | None = field(default=None, init=False)
    _read_once: Callable[[str], AccessClaims] = field(init=False, repr=False)

    def issue(self, ring: KeyRing, session: Session, now: datetime) -> tuple[str, int]:
        """Sign an access token, which never outlives the session; return it and its seconds."""
        expires_at = min(now + self.max_lifetime, session.expires_at)
        issued, expires = int(now.timestamp()), int(expires_at.timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": session.subject,
            "sid": session.id,
            "jti": f"{session.generation}.{jws.base64url_encode(os.urandom(16))}",
            "client_id": self.client_id,
            "iat": issued,
            "exp": expires,
            "auth_time": int(session.authenticated_at.timestamp()),
        }
        if session.key_thumbprint is not None:
            claims["cnf"] = {"jkt": session.key_thumbprint}  # RFC 9449 section 6.1
        key = ring.signing_key
        header = _header(key.algorithm, key.kid)
        return jws.sign(header, claims, key.private, key.algorithm), expires - issued

    def verify(self, ring: KeyRing, token: str, now: datetime) -> AccessClaims:
        """Return the claims of a token whose every part is as `issue` writes it.

        `exp` has no leeway; `iat` and `nbf` may be 30 s ahead. AccessTokenExpired if it is genuine
        but expired; AccessTokenInvalid for anything else: the reason is not told.
        """
        if ring is not self._ring:
            self._ring = ring
            # An exception is not remembered, so only genuine tokens take up places.
            self._read_once = lru_cache(_REMEMBERED)(partial(self._read, ring))
        try:
            claims = self._read_once(token)
        except jws.InvalidJws:
            raise AccessTokenInvalid from None
        if max(claims.issued_at, claims.not_before) > now + _CLOCK_SKEW:
            raise AccessTokenInvalid
        if claims.expires_at <= now:  # last: only a genuine token is called expired
            raise AccessTokenExpired
        return claims

    def _read(self, ring: KeyRing, token: str) -> AccessClaims:
        """Verify all but the times, which depend on the clock."""
        unverified = jws.read(token, allowed=_HEADER_MEMBERS)
        key = ring.verification_key(unverified.header.get("kid"))
        if key is None or unverified.header.get("typ") != _TYPE:
            raise jws.InvalidJws
        if unverified.header["alg"] != key.algorithm:
            raise jws.InvalidJws
        claims = unverified.verified_claims(key.public, key.algorithm)
        expected = {"iss": self.issuer, "aud": self.audience, "client_id": self.client_id}
        if any(claims.get(name) != value for name, value in expected.items()):
            raise jws.InvalidJws
        jws.instant(claims, "auth_time")
        found = _access_claims(claims)
        if found.expires_at - found.issued_at > self.max_lifetime:
            raise jws.InvalidJws
        return found


@lru_cache
def _header(algorithm: str, kid: str) -> str:
    return jws.segment({"alg": algorithm, "kid": kid, "typ": _TYPE})


def _access_claims(claims: Any) -> AccessClaims:
    subject, session_id, token_id = (claims.get(name) for name in ("sub", "sid", "jti"))
    if not all(isinstance(value, str) and value for value in (subject, session_id, token_id)):
        raise jws.InvalidJws
    parsed = _JTI.fullmatch(token_id)
    if parsed is None:
        raise jws.InvalidJws
    issued_at, expires_at = jws.instant(claims, "iat"), jws.instant(claims, "exp")
    # `issue` writes no `nbf`, but a verifier must obey it (RFC 7519 section 4.1.5).
    not_before = jws.instant(claims, "nbf") if "nbf" in claims else issued_at
    generation = int(parsed["generation"])
    return AccessClaims(session_id, generation, subject, issued_at, expires_at, not_before)


def new_session_id() -> str:
    """128 random bits as base64url: 22 characters."""
    return jws.base64url_encode(os.urandom(SESSION_ID_BYTES))


class RefreshClaims(NamedTuple):
    """The content of a genuine refresh token."""

    session_id: str
    generation: int


def issue_refresh_token(key: SecretKey, session_id: str, generation: int) -> str:
    """Compute the refresh token of this generation. The same arguments give the same token."""
    message = jws.base64url_decode(session_id) + generation.to_bytes(_GENERATION_BYTES, "big")
    return PREFIX + jws.base64url_encode(message + key.mac(message))


def verify_refresh_token(ring: KeyRing, token: str) -> RefreshClaims:
    """Return the content, or raise RefreshTokenInvalid if no accepted key made the MAC."""
    if not _REFRESH_TOKEN.fullmatch(token):
        raise RefreshTokenInvalid
    try:
        data = jws.base64url_decode(token.removeprefix(PREFIX))
    except ValueError:
        raise RefreshTokenInvalid from None
    message, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
    # Every key is tried, so that the time taken does not tell which one matched.
    genuine = [hmac.compare_digest(mac, key.mac(message)) for key in ring.secret_keys]
    if not any(genuine):
        raise RefreshTokenInvalid
    return RefreshClaims(
        session_id=jws.base64url_encode(message[:SESSION_ID_BYTES]),
        generation=int.from_bytes(message[SESSION_ID_BYTES:], "big"),
    )
