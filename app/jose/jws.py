"""The strict reading of a compact JWS (RFC 7515), for our tokens and for Authing's.

PyJWT does the cryptography. Around it stands what it leaves open: the exact form, header members
that could steer a verifier elsewhere, duplicate keys, and times that are not whole numbers
(RFC 8725 and its revision). The times are compared with an injected clock, so PyJWT's own time
checks are not used.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt

from app.jose.strict_json import StrictJsonError, loads

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_MAX_LENGTH = 16 * 1024
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z: later than that, it was milliseconds
_JWS = jwt.PyJWS()


class InvalidJws(Exception):
    """The token is not a JWS that we accept. Says nothing about why, on purpose."""


def unverified_header(token: str, *, allowed: frozenset[str]) -> Mapping[str, Any]:
    """Read the JOSE header of a token that nobody has vouched for yet.

    `allowed` lists the only header members that may be there: `jwk`, `jku`, `x5u` and `crit` are
    an attacker's way of choosing the key or the rules.

    Raises:
        InvalidJws: not exactly three canonical base64url parts, or another header.
    """
    if len(token) > _MAX_LENGTH or not _COMPACT.fullmatch(token):
        raise InvalidJws
    encoded_header, _payload, _signature = (_decode(part) for part in token.split("."))
    header = _object(encoded_header)
    if not allowed >= header.keys() or not isinstance(header.get("alg"), str):
        raise InvalidJws
    return header


def verified_claims(token: str, key: Any, algorithm: str) -> Mapping[str, Any]:
    """Check the signature with the one algorithm that belongs to the key; return the claims.

    Raises:
        InvalidJws: the signature is not good, or the claims are not one strict JSON object.
    """
    try:
        payload = _JWS.decode(token, key, [algorithm], options={"verify_signature": True})
    except jwt.PyJWTError as error:
        raise InvalidJws from error
    return _object(payload)


def instant(claims: Mapping[str, Any], name: str) -> datetime:
    """Read a required NumericDate (RFC 7519 section 2), which we want as whole seconds.

    Raises:
        InvalidJws: absent, not an integer, or out of range (milliseconds, say).
    """
    value = claims.get(name)
    if type(value) is not int or not 0 <= value <= _LAST_SECOND:
        raise InvalidJws
    return datetime.fromtimestamp(value, UTC)


def _decode(part: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise InvalidJws from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise InvalidJws  # stray bits at the end: two spellings of one token
    return data


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = loads(data)
    except StrictJsonError:
        raise InvalidJws from None
    if not isinstance(value, dict):
        raise InvalidJws
    return value
