"""The table of 55 forged tokens of Authing, by class."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.forgeries import any_jws
from tests.forgeries.forge import ABSENT, Forge, Forgeries, Table, as_json, sign_with
from tests.sessions.builders import b64

ANOTHER = "5f00000000000000000000ff"
FIFTEEN_DAYS = 1_296_000
_OWN_SECRET = b"made-up-secret-of-the-attacker-0123"


@dataclass(frozen=True, kw_only=True)
class UpstreamForge(Forge):
    """Has the secret that Authing signs with, and one of our access tokens."""

    access_token: str = field(repr=False)

    @property
    def now(self) -> int:
        return int(self.claims["iat"])


def upstream_forge(
    data: Mapping[str, str], secret: str, now: int, access_token: str = ""
) -> UpstreamForge:
    return UpstreamForge(
        header={"alg": "HS256", "typ": "JWT"},
        claims={"data": data, "iat": now, "exp": now + FIFTEEN_DAYS},
        sign=sign_with("HS256", secret.encode()),
        own_jwk={"kty": "oct", "k": b64(_OWN_SECRET)},
        own_sign=sign_with("HS256", _OWN_SECRET),
        access_token=access_token,
    )


def claims(**members: Any) -> Callable[[UpstreamForge], str]:
    return lambda forge: forge.token(claims=members)


def data(**members: Any) -> Callable[[UpstreamForge], str]:
    """A token with other data about the user."""

    def make(forge: UpstreamForge) -> str:
        changed = {**forge.claims["data"], **members}
        return forge.token(claims={"data": json.loads(as_json(changed))})

    return make


def times(**offsets: int) -> Callable[[UpstreamForge], str]:
    """A token whose times are these, in seconds from now."""
    return lambda forge: forge.token(
        claims={name: forge.now + offset for name, offset in offsets.items()}
    )


def own_rsa_key(forge: UpstreamForge) -> str:
    key = rsa.generate_private_key(65537, 2048)
    return forge.token(header={"alg": "RS256"}, by=sign_with("RS256", key))


KEY: Forgeries[UpstreamForge] = {**any_jws.HMAC_BLANK, "own-rs256-key": own_rsa_key}

DATA: Forgeries[UpstreamForge] = {
    "data-absent": claims(data=ABSENT),
    "data-null": claims(data=None),
    "data-text": claims(data="made-up"),
    "data-list": claims(data=[]),
}
USER: Forgeries[UpstreamForge] = {
    "id-of-another-user": data(id=ANOTHER),
    "id-absent": data(id=ABSENT),
    "id-in-two-opinions": data(_id=ANOTHER),
    "unionid-of-another-user": data(unionid="another-made-up-unionid"),
}
POOL: Forgeries[UpstreamForge] = {
    "client-absent": data(clientId=ABSENT),
    "client-another-pool": data(clientId=ANOTHER),
    "client-in-two-opinions": data(userPoolId=ANOTHER),
}
TIMES: Forgeries[UpstreamForge] = {
    "iat-stale": times(iat=-601),
    "iat-absent": claims(iat=ABSENT),
    "exp-too-far": times(exp=11 * 366 * 86_400),
    "exp-text": lambda forge: forge.token(claims={"exp": str(forge.claims["exp"])}),
    "exp-nan": lambda forge: forge.raw_claim("exp", "NaN"),
    "exp-absent": claims(exp=ABSENT),
}
OURS: Forgeries[UpstreamForge] = {"own-access-token": lambda forge: forge.access_token}

AS_ANY_JWS: Table[UpstreamForge] = {
    "alg none in 5 spellings and 2 forms": any_jws.ALG_NONE,
    "null, stripped, truncated, bit-flipped signature": any_jws.SIGNATURE,
    "blank HMAC key, another algorithm with own key": KEY,
    "jwk, jku, x5u, x5c": any_jws.KEY_IN_HEADER,
    "crit, b64": any_jws.CRIT,
    "not a compact JWS of claims": any_jws.NOT_COMPACT,
    "spelling": any_jws.SPELLING,
}
AS_AUTHINGS: Table[UpstreamForge] = {
    "data absent or no object": DATA,
    "another user": USER,
    "another pool": POOL,
    "times": TIMES,
    "an access token of ours": OURS,
}
TABLE: Table[UpstreamForge] = {**AS_ANY_JWS, **AS_AUTHINGS}
