"""Refresh tokens: a session id and a generation under a MAC, opaque to the app.

They are computed and never stored. So a dump of the store contains none, and every instance
computes the same successor (promise 3).
"""

import hmac
import os
import re
from typing import NamedTuple

from app.errors import RefreshTokenInvalid
from app.jose.jws import base64url_decode, base64url_encode
from app.jose.key_ring import KeyRing, SecretKey

SESSION_ID_BYTES = 16
PREFIX = "rt_"
_MAC_BYTES = 32
_GENERATION_BYTES = 4
_REFRESH_TOKEN = re.compile(r"rt_[A-Za-z0-9_-]{70}", re.ASCII)


def new_session_id() -> str:
    """128 random bits as base64url: 22 characters."""
    return base64url_encode(os.urandom(SESSION_ID_BYTES))


class RefreshClaims(NamedTuple):
    """The content of a genuine refresh token."""

    session_id: str
    generation: int


def issue_refresh_token(key: SecretKey, session_id: str, generation: int) -> str:
    """Compute the refresh token of this generation. The same arguments give the same token."""
    message = base64url_decode(session_id) + generation.to_bytes(_GENERATION_BYTES, "big")
    return PREFIX + base64url_encode(message + key.mac(message))


def verify_refresh_token(ring: KeyRing, token: str) -> RefreshClaims:
    """Verify the MAC with every accepted key and return the content.

    Raises:
        RefreshTokenInvalid: not issued with one of these keys.
    """
    if not _REFRESH_TOKEN.fullmatch(token):
        raise RefreshTokenInvalid
    try:
        data = base64url_decode(token.removeprefix(PREFIX))
    except ValueError:
        raise RefreshTokenInvalid from None
    message, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
    # Every key is tried, so that the time taken does not tell which one matched.
    genuine = [hmac.compare_digest(mac, key.mac(message)) for key in ring.secret_keys]
    if not any(genuine):
        raise RefreshTokenInvalid
    return RefreshClaims(
        session_id=base64url_encode(message[:SESSION_ID_BYTES]),
        generation=int.from_bytes(message[SESSION_ID_BYTES:], "big"),
    )
