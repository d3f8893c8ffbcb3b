"""Verify access tokens of Ticketgate with joserfc: `python with_joserfc.py < tokens`."""

import time
from typing import Any

from command import ALGORITHM, AUDIENCE, ISSUER, JWKS_URL, Refused, run
from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError
from jwks_cache import JwksCache

_CLOCK_SKEW = 30
_keys = JwksCache(JWKS_URL, ALGORITHM, jwk.import_key)


def verify(token: str) -> dict[str, Any]:
    """Return the claims of a good access token; raise Refused or JwksUnavailable."""
    try:
        header = jws.extract_compact(token.encode()).protected
        key = _keys.find(header.get("kid"))
        if header.get("typ") != "at+jwt" or key is None:
            raise Refused("typ or kid")
        claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims  # never the header's
        jwt.JWTClaimsRegistry(
            leeway=_CLOCK_SKEW,  # for iat: a new token must not fail because our clock is late
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            sub={"essential": True},
            sid={"essential": True},
            iat={"essential": True},
            exp={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError) as error:
        raise Refused(type(error).__name__) from error
    # Without leeway: the revocation feed forgets the session then.
    if not isinstance(claims["exp"], int) or claims["exp"] <= time.time():
        raise Refused("expired")
    return claims


if __name__ == "__main__":
    run(verify)
