"""The made-up users of the sandbox, their records, and the keys that sign their tokens.

All facts about a persona derive from its name, so there are any number of personas, and two
sandboxes agree about them. Phone numbers are 13800138000, the example number of Chinese forms, and
the 99 numbers after it.

Tokens are signed with hmac and RSA directly, not with the JWT library that the product verifies
with. So a mistake of that library cannot hide on both sides.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

_RECORDS = json.loads(Path(__file__).with_name("personas.json").read_bytes())
FAMILIAR: Mapping[str, str] = _RECORDS["familiar"]
"""The personas on the page: name to nickname. Any other name is its own nickname."""


class Persona:
    """One made-up user of the pool. The picture is at a reserved domain (RFC 2606)."""

    def __init__(self, name: str) -> None:
        digest = hashlib.sha256(f"ticketgate sandbox {name}".encode()).digest()
        opaque = base64.urlsafe_b64encode(digest).decode()
        self.name = name
        self.nickname = FAMILIAR.get(name, name)
        self.user_id = digest.hex()[:24]
        self.openid = f"o{opaque[:27]}"
        self.unionid = f"o{opaque[-28:-1]}"
        self.phone = f"138001380{digest[0] % 100:02}"
        self.photo = f"https://example.com/avatars/{name}.png"


def user_record(
    persona: Persona, token: str, *, now: int, expires_at: int, get_phone: bool
) -> dict[str, Any]:
    """Return the user object of Authing's 2020 documents.

    With `get_phone` it has the phone number: masked at the top, complete inside `oauth`, which is a
    JSON string.
    """
    facts = {**vars(persona), "token": token, "now": _iso(now), "expires_at": _iso(expires_at)}
    record, wechat = _filled(_RECORDS["user"], facts), _filled(_RECORDS["wechat"], facts)
    if get_phone:
        record["phone"] = f"{persona.phone[:3]}****{persona.phone[-4:]}"
        wechat["phone"] = persona.phone
    record |= {"blocked": persona.name == "blocked", "isDeleted": persona.name == "deleted"}
    return {**record, "oauth": json.dumps(wechat, ensure_ascii=False)}


def _filled(record: Mapping[str, Any], facts: Mapping[str, str]) -> dict[str, Any]:
    """Put the facts in the place of their names in braces."""
    return {k: v.format_map(facts) if isinstance(v, str) else v for k, v in record.items()}


def _iso(seconds: int) -> str:
    instant = datetime.fromtimestamp(seconds, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SigningKeys:
    """A user pool's keys: the secret of its legacy tokens and the RSA key of its OIDC tokens."""

    def __init__(self, secret: str, kid: str = "sandbox-1") -> None:
        self._secret = secret.encode()
        self._kid = kid

    @cached_property
    def _rsa(self) -> RSAPrivateKey:
        # Made at first use, because it takes a noticeable part of a second.
        return generate_private_key(public_exponent=65_537, key_size=2048)

    def hs256(self, claims: Mapping[str, Any]) -> str:
        """Sign as a legacy pool does; the header has no kid."""
        header = {"alg": "HS256", "typ": "JWT"}
        return _compact(header, claims, lambda data: hmac.digest(self._secret, data, "sha256"))

    def rs256(self, claims: Mapping[str, Any]) -> str:
        """Sign as an OpenID Connect application does."""
        header = {"alg": "RS256", "typ": "JWT", "kid": self._kid}
        return _compact(header, claims, lambda data: self._rsa.sign(data, PKCS1v15(), SHA256()))

    def jwks(self) -> dict[str, Any]:
        """Return the public RSA key as a JWK Set (RFC 7517)."""
        public = self._rsa.public_key().public_numbers()
        numbers = {
            name: _base64url(number.to_bytes((number.bit_length() + 7) // 8)).decode()
            for name, number in (("n", public.n), ("e", public.e))
        }
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self._kid, **numbers}]}

    def impostor(self) -> "SigningKeys":
        """Return other keys under the same kid; their signatures must never verify."""
        return SigningKeys(secrets.token_hex(32), self._kid)


def new_ticket() -> str:
    """Return a ticket that looks like Authing's: a JWS of hundreds of characters."""
    return SigningKeys(secrets.token_hex(32)).hs256({"jti": secrets.token_hex(64)})


def _compact(
    header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]
) -> str:
    signed = b".".join(
        _base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)
    )
    return b".".join((signed, _base64url(sign(signed)))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
