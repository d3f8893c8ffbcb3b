"""Makes tokens like an attacker: any header, any claims, any signature.

Only the given parts differ from a genuine token, which `token()` without arguments returns. So a
forgery is refused because of these parts.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import jwt

from app.jose.key_ring import KeyRing, SigningKey
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
F = TypeVar("F")
Forgeries: TypeAlias = Mapping[str, Callable[[F], str]]
"""Forgeries by name."""
ABSENT = object()
"""As the value of a member: the member is left out."""


def sign_with(algorithm: str, key: Any) -> Sign:
    """Sign with this algorithm, whatever the header says."""
    how: Any = jwt.PyJWS().get_algorithm_by_name(algorithm)

    def sign(message: bytes) -> bytes:
        signature: bytes = how.sign(message, key)
        return signature

    return sign


def signer(key: SigningKey) -> Sign:
    return sign_with(key.algorithm, key.private)


def constant(signature: bytes) -> Sign:
    return lambda _message: signature


def compact(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, by: Sign) -> str:
    parts = [part if isinstance(part, bytes) else as_json(part) for part in (header, payload)]
    message = ".".join(map(b64, parts))
    return f"{message}.{b64(by(message.encode()))}"


def as_json(members: Mapping[str, Any]) -> bytes:
    present = {name: value for name, value in members.items() if value is not ABSENT}
    return json.dumps(present).encode()


@dataclass(frozen=True, kw_only=True)
class Forge:
    """Has the key of a genuine issuer and signs anything with it.

    `own_jwk` and `own_sign` are a key that the attacker made for the issuer's algorithm.
    """

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    sign: Sign = field(repr=False)
    own_jwk: Mapping[str, Any] = field(repr=False)
    own_sign: Sign = field(repr=False)

    def token(
        self,
        *,
        header: Mapping[str, Any] | bytes = b"",
        claims: Mapping[str, Any] | bytes = b"",
        by: Sign | None = None,
    ) -> str:
        """A token with these members changed; bytes replace the whole part."""
        return compact(
            header or self.header if isinstance(header, bytes) else {**self.header, **header},
            claims or self.claims if isinstance(claims, bytes) else {**self.claims, **claims},
            by or self.sign,
        )

    def raw_claim(self, name: str, text: str) -> str:
        """A token with a claim whose value is this text, JSON or not."""
        placeholder = as_json({**self.claims, name: "PLACEHOLDER"})
        return self.token(claims=placeholder.replace(b'"PLACEHOLDER"', text.encode()))


@dataclass(frozen=True, kw_only=True)
class AccessForge(Forge):
    """Makes access tokens with the keys of a genuine service."""

    ring: KeyRing = field(repr=False)

    @property
    def key(self) -> SigningKey:
        return self.ring.signing_key


def access_forge(ring: KeyRing, claims: Mapping[str, Any]) -> AccessForge:
    """Forge the access tokens of a service with this ring; `claims` are those of a genuine one."""
    key, own = ring.signing_key, make_ring().signing_key
    return AccessForge(
        header={"typ": "at+jwt", "kid": key.kid, "alg": key.algorithm},
        claims=claims,
        sign=signer(key),
        own_jwk=own.public_jwk,
        own_sign=signer(own),
        ring=ring,
    )


def make_forge() -> AccessForge:
    """A made-up service with a key of every algorithm; ES256 signs."""
    claims = {
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
    return access_forge(make_ring(ec_jwk(), rsa_jwk(), ed25519_jwk(), oct_jwk()), claims)
