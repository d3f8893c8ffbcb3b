"""Verify access tokens of Ticketgate with PyJWT: `python with_pyjwt.py < tokens`."""

import time
from typing import Any

import jwt
from command import ALGORITHM, AUDIENCE, ISSUER, JWKS_URL, Refused, run
from jwks_cache import JwksCache

_CLOCK_SKEW = 30
_REQUIRED = ["iss", "aud", "sub", "sid", "exp", "iat"]
_keys = JwksCache(JWKS_URL, ALGORITHM, jwt.PyJWK)


def verify(token: str) -> dict[str, Any]:
    """Return the claims of a good access token; raise Refused or JwksUnavailable."""
    try:
        header = jwt.get_unverified_header(token)
        key = _keys.find(header.get("kid"))
        if header.get("typ") != "at+jwt" or key is None:
            raise Refused("typ or kid")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],  # never the header's
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=_CLOCK_SKEW,  # for iat: a new token must not fail because our clock is late
            options={"require": _REQUIRED, "strict_aud": True},
        )
    except jwt.PyJWTError as error:
        raise Refused(type(error).__name__) from error
    # Without leeway: the revocation feed forgets the session then.
    if not isinstance(claims["exp"], int) or claims["exp"] <= time.time():
        raise Refused("expired")
    return claims


if __name__ == "__main__":
    run(verify)
