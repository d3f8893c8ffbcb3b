"""Makes access tokens as an attacker would: any header, any claims, any signature.

Only what is asked for is wrong; everything else is as in a genuine token, which `Forge().token()`
is. So a forgery that is refused is refused for what was done to it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.sessions.keys import KeyRing, SigningKey
from tests.sessions.builders import (
    AUDIENCE,
    EPOCH,
    ISSUER,
    POOL,
    SESSION_ID,
    SUBJECT,
    b64,
    ec_jwk,
    ed25519_jwk,
    make_ring,
    oct_jwk,
    rsa_jwk,
)

Sign: TypeAlias = Callable[[bytes], bytes]

_ALGORITHMS: dict[str, Any] = {
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "EdDSA": OKPAlgorithm(),
}

ABSENT = object()
"""As the value of a member: leave it out."""


def signer(key: SigningKey) -> Sign:
    def sign(message: bytes) -> bytes:
        signature: bytes = _ALGORITHMS[key.algorithm].sign(message, key.private)
        return signature

    return sign


def compact(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, by: Sign) -> str:
    parts = [part if isinstance(part, bytes) else _json(part) for part in (header, payload)]
    message = ".".join(map(b64, parts))
    return f"{message}.{b64(by(message.encode()))}"


def _json(members: Mapping[str, Any]) -> bytes:
    present = {name: value for name, value in members.items() if value is not ABSENT}
    return json.dumps(present).encode()


def _ring() -> KeyRing:
    return make_ring(ec_jwk(), rsa_jwk(), ed25519_jwk(), oct_jwk())


@dataclass(frozen=True)
class Forge:
    """Has the keys of a genuine service, to sign what that would never sign."""

    ring: KeyRing = field(default_factory=_ring)

    @property
    def header(self) -> dict[str, Any]:
        return {"typ": "at+jwt", "kid": self.ring.signer.kid, "alg": self.ring.signer.algorithm}

    @property
    def claims(self) -> dict[str, Any]:
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": SUBJECT,
            "sid": SESSION_ID,
            "jti": "3.AAAAAAAAAAAAAAAAAAAAAA",
            "client_id": POOL,
            "iat": EPOCH - 10,
            "exp": EPOCH + 60,
            "auth_time": EPOCH - 100,
        }

    def token(
        self,
        *,
        header: dict[str, Any] | bytes = b"",
        claims: dict[str, Any] | bytes = b"",
        by: Sign | None = None,
    ) -> str:
        """A token with these members changed; bytes stand for the whole part."""
        return compact(
            header or self.header if isinstance(header, bytes) else self.header | header,
            claims or self.claims if isinstance(claims, bytes) else self.claims | claims,
            by or signer(self.ring.signer),
        )
