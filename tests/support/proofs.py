"""A device key and its proofs of possession, good and forged."""

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import ECKey, OKPKey
from joserfc.jws import JWSRegistry

from app.sessions.models import Proof

REFRESH = "/v1/sessions/refresh"


@dataclass
class DeviceKey:
    """Makes a proof for each request to the issuer. `nonce` is the last one that it was given."""

    issuer: str
    key: ECKey | OKPKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    nonce: str = ""

    @property
    def alg(self) -> str:
        return "ES256" if isinstance(self.key, ECKey) else "EdDSA"

    @property
    def thumbprint(self) -> str:
        return self.key.thumbprint()

    def public(self) -> dict[str, Any]:
        """The public JWK with its required members only."""
        return {n: v for n, v in self.key.as_dict(private=False).items() if n != "kid"}

    def header(self, **changes: Any) -> dict[str, Any]:
        return _changed({"typ": "dpop+jwt", "alg": self.alg, "jwk": self.public()}, changes)

    def claims(self, path: str = REFRESH, **changes: Any) -> dict[str, Any]:
        claims = {
            "jti": secrets.token_urlsafe(16),
            "htm": "POST",
            "htu": self.issuer + path,
            "iat": 1_562_262_616,  # of a phone whose clock is years behind
            "nonce": self.nonce,
        }
        return _changed(claims, changes)

    def proof(self, path: str = REFRESH, **changes: Any) -> str:
        """A proof for a POST to this path; a claim that is changed to None is left out."""
        return self.sign(self.header(), self.claims(path, **changes))

    def sign(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        return sign(header, claims, self.key)


def sign(header: dict[str, Any], claims: Any, key: Any) -> str:
    """Sign anything with any key, by the algorithm of the header, which nothing checks."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = b".".join(map(_b64, (json.dumps(header).encode(), payload)))
    signature = JWSRegistry.algorithms[header["alg"]].sign(signed, key)
    return b".".join((signed, _b64(signature))).decode()


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def proof_of(thumbprint: str = "key-a", made_at: int = 1, jti: int = 0) -> Proof:
    """What the core makes of a good proof."""
    return Proof(thumbprint, f"{made_at:08x}{jti:024x}")


def _changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (members | changes).items() if value is not None}
