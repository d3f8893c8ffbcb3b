"""An issuer on a local port: its key set, and tokens of every kind, good and bad."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.jose.key_ring import KeyRing
from tests.sessions.builders import ec_jwk, make_ring, oct_jwk, rsa_jwk
from tests.support.threads import Request, Response, http_server


@dataclass
class Issuer:
    """Publishes the keys of `ring` for `max_age` seconds; 500 while it `fails`.

    `fetches` counts the requests for the key set.
    """

    port: int = 0
    ring: KeyRing = field(default_factory=lambda: make_ring(ec_jwk(), rsa_jwk(), oct_jwk()))
    max_age: int = 300
    fails: bool = False
    fetches: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
        """An access token as Ticketgate issues it, but for the changes. None drops a member."""
        claims, signer = self.claims() | changes, self.ring.signing_key
        kept = {"kid": signer.kid, "typ": "at+jwt", "alg": signer.algorithm} | (header or {})
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            key or signer.private,
            algorithm=kept["alg"],
            headers={"typ": kept["typ"]} | ({"kid": kept["kid"]} if kept["kid"] else {}),
        )

    def claims(self) -> dict[str, Any]:
        now = int(time.time())
        names = {"iss": self.url, "aud": self.url, "sub": "user-1", "sid": "session-1"}
        ids = {"jti": "0.made-up-token-id", "client_id": "5f0000000000000000000001"}
        return names | ids | {"iat": now - 5, "exp": now + 600, "auth_time": now - 5}

    def good(self) -> dict[str, str]:
        now = int(time.time())
        return {
            "new": self.token(),
            "old": self.token(iat=now - 590, exp=now + 10),
            "by a clock that is 10 s ahead": self.token(iat=now + 10, exp=now + 610),
        }

    def bad(self) -> dict[str, str]:
        now, good = int(time.time()), self.token()
        head, payload, signature = good.split(".")
        other = make_ring(ec_jwk(), oct_jwk()).signing_key
        rsa = self.ring.signing_keys[1]
        edited = ("A" if signature[10] != "A" else "B").join((signature[:10], signature[11:]))
        return {
            "other issuer": self.token(iss="https://other.example"),
            "other audience": self.token(aud="https://other.example"),
            "no audience": self.token(aud=None),
            "no session": self.token(sid=None),
            "expired": self.token(iat=now - 610, exp=now - 10),
            "no expiry": self.token(exp=None),
            "expiry as a text": self.token(exp=str(now + 600)),
            "issued in the future": self.token(iat=now + 120, exp=now + 720),
            "type JWT": self.token({"typ": "JWT"}),
            "no type": self.token({"typ": None}),
            "other key": self.token(key=other.private),
            "unknown kid": self.token({"kid": other.kid}, key=other.private),
            "no kid": self.token({"kid": None}),
            "other published algorithm": self.token(
                {"alg": "RS256", "kid": rsa.kid}, key=rsa.private
            ),
            "other algorithm under this kid": self.token({"alg": "RS256"}, key=rsa.private),
            "algorithm none": f"{self._unsigned('none')}.",
            "algorithm none with a signature": f"{self._unsigned('none')}.{signature}",
            "public key as a shared secret": self._with_public_key(),
            "claims of another user": f"{head}.{_part(self.claims() | {'sub': 'x'})}.{signature}",
            "signature changed": f"{head}.{payload}.{edited}",
            "signature missing": f"{head}.{payload}.",
            "signature of zeros": f"{head}.{payload}.{_base64url(bytes(64))}",
            "refresh token": "rt_p2kvTfLOCnqnmcQnsB-Ykw.0.made-up",
            "empty": "",
            "garbage": "a.b.c",
        }

    def _unsigned(self, algorithm: str) -> str:
        header = {"alg": algorithm, "typ": "at+jwt", "kid": self.ring.signing_key.kid}
        return f"{_part(header)}.{_part(self.claims())}"

    def _with_public_key(self) -> str:
        pem = self.ring.signing_key.public.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        signed = self._unsigned("HS256")
        return f"{signed}.{_base64url(hmac.digest(pem, signed.encode(), hashlib.sha256))}"


def _part(members: dict[str, Any]) -> str:
    return _base64url(json.dumps(members).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    issuer = Issuer()

    def answer(_: Request) -> Response:
        issuer.fetches += 1
        body = json.dumps(issuer.ring.public_jwks()).encode()
        headers = {"Cache-Control": f"public, max-age={issuer.max_age}"}
        return Response(500 if issuer.fails else 200, body, headers)

    with http_server(answer) as issuer.port:
        yield issuer
