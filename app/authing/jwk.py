"""Public keys from an issuer's JWK Set (RFC 7517). Pure.

Only what can check a signature of RS256 or ES256 is taken. A key that cannot be meant for that,
or should not be in public, is left out with a word for the log.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from app.authing.keys import Algorithm, TokenKey
from app.errors import AuthingBadAnswer
from app.jose.strict_json import JsonValue

_log = logging.getLogger(__name__)

_ALGORITHMS: Mapping[JsonValue, Algorithm] = {"RSA": "RS256", "EC": "ES256"}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MIN_RSA_BITS = 2048


class _LeftOut(Exception):
    """Carries the word for the log."""


def read_jwk_set(document: JsonValue) -> Sequence[TokenKey]:
    """Read the usable keys of the set.

    Raises:
        AuthingBadAnswer: not a JWK Set, or none of its keys is usable.
    """
    jwks = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(jwks, list):
        raise AuthingBadAnswer("bad_shape")
    keys = _unambiguous([key for jwk in jwks if (key := _read_or_leave_out(jwk))])
    if not keys:
        raise AuthingBadAnswer("bad_shape")
    return keys


def _read_or_leave_out(jwk: JsonValue) -> TokenKey | None:
    try:
        return _read(jwk)
    except _LeftOut as reason:
        _log.warning("jwk left out: %s", reason)
        return None


def _read(jwk: JsonValue) -> TokenKey:
    if not isinstance(jwk, dict):
        raise _LeftOut("not_an_object")
    kid, kty = jwk.get("kid"), jwk.get("kty")
    if not isinstance(kid, str | None):
        raise _LeftOut("kid")
    algorithm = _ALGORITHMS.get(kty) if isinstance(kty, str) else None
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        raise _LeftOut("algorithm")
    if jwk.get("use", "sig") != "sig" or not _may_verify(jwk.get("key_ops")):
        raise _LeftOut("use")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise _LeftOut("private")
    return TokenKey(algorithm, _material(jwk, algorithm), kid)


def _may_verify(key_ops: JsonValue) -> bool:
    return key_ops is None or (isinstance(key_ops, list) and "verify" in key_ops)


def _material(jwk: Mapping[str, JsonValue], algorithm: Algorithm) -> Any:
    if algorithm == "ES256" and jwk.get("crv") != "P-256":
        raise _LeftOut("curve")
    try:
        key = jwt.PyJWK(dict(jwk), algorithm).key
    except jwt.PyJWTError:
        raise _LeftOut("material") from None
    if algorithm == "RS256" and key.key_size < _MIN_RSA_BITS:
        raise _LeftOut("too_short")
    return key


def _unambiguous(keys: Sequence[TokenKey]) -> Sequence[TokenKey]:
    """Leave out keys that share a name, because nobody can say which of them is meant."""
    uses = Counter(key.kid for key in keys if key.kid is not None)
    return [key for key in keys if key.kid is None or uses[key.kid] == 1]
