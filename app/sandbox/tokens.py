"""Signing, as the user pool does it: legacy HS256 tokens, OpenID Connect RS256 tokens, JWKS.

Made from hmac and RSA themselves, not with the JWT library that the product verifies with, so that
one library's mistake cannot hide on both sides.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from app.sandbox.options import SandboxOptions
from app.sandbox.personas import Persona

_FIFTEEN_DAYS = 1_296_000
_HOUR = 3_600


class SigningKeys:
    """A user pool's keys: the secret of its legacy tokens and the RSA key of its OIDC tokens."""

    def __init__(self, secret: str, kid: str = "sandbox-1") -> None:
        self._secret = secret.encode()
        self._kid = kid

    @cached_property
    def _rsa(self) -> RSAPrivateKey:
        # Made when first needed: it takes a noticeable part of a second.
        return generate_private_key(public_exponent=65_537, key_size=2048)

    def hs256(self, claims: Mapping[str, Any]) -> str:
        """Sign as the legacy pool does; its header has no kid."""

        def sign(data: bytes) -> bytes:
            return hmac.digest(self._secret, data, hashlib.sha256)

        return _compact({"alg": "HS256", "typ": "JWT"}, claims, sign)

    def rs256(self, claims: Mapping[str, Any]) -> str:
        """Sign as an OpenID Connect application does."""

        def sign(data: bytes) -> bytes:
            return self._rsa.sign(data, PKCS1v15(), SHA256())

        return _compact({"alg": "RS256", "typ": "JWT", "kid": self._kid}, claims, sign)

    def jwks(self) -> dict[str, Any]:
        """Publish the RSA key (RFC 7517)."""
        public = self._rsa.public_key().public_numbers()
        numbers = {"n": _base64url_number(public.n), "e": _base64url_number(public.e)}
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self._kid, **numbers}]}

    def impostor(self) -> "SigningKeys":
        """Other keys under the same kid: what they sign must never verify."""
        return SigningKeys(secrets.token_hex(32), self._kid)


def user_token(
    options: SandboxOptions, keys: SigningKeys, persona: Persona, now: int
) -> tuple[str, int]:
    """Make the `token` of the user object; gives it with its expiry, in seconds since 1970."""
    if options.token_algorithm == "HS256":
        return keys.hs256(_legacy_claims(options, persona, now)), now + _FIFTEEN_DAYS
    return keys.rs256(_oidc_claims(options, persona, now)), now + _HOUR


def new_ticket() -> str:
    """Make a ticket that looks like Authing's: a JWS of hundreds of characters, to be opaque."""
    return SigningKeys(secrets.token_hex(32)).hs256({"jti": secrets.token_hex(64)})


def _legacy_claims(options: SandboxOptions, persona: Persona, now: int) -> dict[str, Any]:
    pool = options.user_pool_id
    data = {
        "type": "user",
        "userPoolId": pool,
        "unionid": persona.unionid,
        "id": persona.user_id,
        "clientId": pool,
    }
    return {"data": data, "iat": now, "exp": now + _FIFTEEN_DAYS}


def _oidc_claims(options: SandboxOptions, persona: Persona, now: int) -> dict[str, Any]:
    profile = {
        "nickname": persona.nickname,
        "picture": persona.photo,
        "gender": "U",
        "email": None,
    }
    return {
        "sub": persona.user_id,
        "aud": options.audience,
        "iss": options.issuer,
        "iat": now,
        "exp": now + _HOUR,
        **profile,
    }


def _compact(
    header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]
) -> str:
    signed = b".".join(
        _base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)
    )
    return b".".join((signed, _base64url(sign(signed)))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _base64url_number(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8)).decode()
