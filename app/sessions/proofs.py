"""Proofs of possession (DPoP, RFC 9449): the app signs a request with a key of its phone.

A bound session is refreshed only with a proof of its key. So a copied refresh token is useless. The
clock of a phone may be wrong, so `iat` is not compared with ours. Our nonce says when a proof was
made at the earliest, and the store accepts each proof once.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from app.errors import ProofError, ProofInvalid, ProofRequired
from app.jose import jws
from app.jose.jwk import ALGORITHMS, is_jwk, load, required_members, thumbprint
from app.sessions.models import MAX_SEEN_PROOFS, GivenProof, Proof, Session, epoch
from app.sessions.outcomes import ProofFault
from app.sessions.ports import Clock, KeySource

DeviceBinding: TypeAlias = Literal["off", "optional", "required"]
PROOF_ALGORITHMS = ("ES256", "Ed25519", "EdDSA")
_HEADER_MEMBERS = frozenset({"typ", "alg", "jwk"})
# Members that exporters of public keys add. `load` checks the first three.
_OTHER_KEY_MEMBERS = frozenset({"alg", "use", "key_ops", "ext"})
_MAX_LENGTH, _MAX_JTI = 2048, 256
_NONCE_LIFE, _CLOCK_SKEW = 600, 60  # seconds
_NONCE_PURPOSE = b"ticketgate dpop nonce v1"
_TIME_BYTES, _MAC_BYTES, _JTI_DIGITS = 4, 16, 24
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class SentProof:
    """The values of a request's `DPoP` headers, and what a proof must name: method and path."""

    headers: Sequence[str] = field(repr=False)
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class ProofVerifier:
    """Reads proofs. `issuer` is our public address: `htu` is this and the path of the request."""

    keys: KeySource
    issuer: str
    binding: DeviceBinding
    clock: Clock

    def new_nonce(self) -> str:
        """Return a nonce: the time under a MAC. Every instance accepts it for ten minutes."""
        time = epoch(self.clock()).to_bytes(_TIME_BYTES, "big")
        return jws.base64url_encode(time + self._macs(time)[0])

    def read(self, sent: SentProof | None) -> GivenProof:
        """Check all of a proof that needs no session (RFC 9449 section 4.3).

        `invalid`: several, too long, badly formed or signed, or for another request.
        """
        if self.binding == "off":
            return "ignored"
        if sent is None or not sent.headers:
            return "required" if self.binding == "required" else "missing"
        try:
            return self._verified(sent)
        except (jws.InvalidJws, ValueError):  # the key or its encoding, for the latter
            return "invalid"

    def check(self, proof: GivenProof, session: Session | None = None) -> None:
        """Raise the ProofError of a proof that is not good for this session, or for a new one."""
        if (fault := fault_of(proof, session)) is not None:
            raise self.refusal(fault)

    def refusal(self, kind: ProofFault) -> ProofError:
        """The error of a refused proof. It carries a nonce for the next proof."""
        if kind == "required":
            return ProofRequired(self.new_nonce(), kind)
        return ProofInvalid(self.new_nonce(), kind)

    def _verified(self, sent: SentProof) -> Proof:
        proof = sent.headers[0]
        if len(sent.headers) > 1 or len(proof) > _MAX_LENGTH:
            raise jws.InvalidJws
        unverified = jws.read(proof, allowed=_HEADER_MEMBERS)
        jwk: Any = unverified.header.get("jwk")
        _check_key_members(jwk)
        claims = unverified.verified_claims(load(jwk), ALGORITHMS[jwk["kty"]])
        jws.instant(claims, "iat")
        jti, htu = claims.get("jti"), claims.get("htu")
        right = (
            unverified.header.get("typ") == "dpop+jwt"
            and claims.get("htm") == sent.method
            and isinstance(htu, str)
            and _normalized(htu) == _normalized(self.issuer + sent.path)
            and isinstance(jti, str)
            and 0 < len(jti) <= _MAX_JTI
        )
        if not right:
            raise jws.InvalidJws
        time = self._time_of(claims.get("nonce"))
        jti_hash = hashlib.sha256(str(jti).encode()).hexdigest()[:_JTI_DIGITS]
        return Proof(thumbprint(jwk), time.hex() + jti_hash if time else "")

    def _time_of(self, nonce: object) -> bytes:
        """The time of a nonce; nothing if it is none of ours or not current."""
        try:
            data = jws.base64url_decode(nonce if isinstance(nonce, str) else "")
        except ValueError:
            data = b""
        time, mac = data[:_TIME_BYTES], data[_TIME_BYTES:]
        genuine = [hmac.compare_digest(mac, known) for known in self._macs(time)]
        made_at, now = int.from_bytes(time, "big"), epoch(self.clock())
        # The clock of the instance that made it may be ahead of ours.
        current = now - _NONCE_LIFE <= made_at <= now + _CLOCK_SKEW
        return time if any(genuine) and current else b""

    def _macs(self, time: bytes) -> list[bytes]:
        # With every accepted key, the current one first: a roll-over of keys refuses no proof. No
        # refresh token has a message of this length.
        message = _NONCE_PURPOSE + time
        return [key.mac(message)[:_MAC_BYTES] for key in self.keys.ring.secret_keys]


def fault_of(proof: GivenProof, session: Session | None = None) -> ProofFault | None:
    """Return why a proof is not good for this session, or for a new one; None if it is."""
    bound_to = session.key_thumbprint if session else None
    if not isinstance(proof, Proof):
        if proof == "missing":
            return "required" if bound_to else None
        return None if proof == "ignored" else proof
    if bound_to not in {None, proof.thumbprint}:
        return "other_key"
    if not proof.id:
        return "nonce"
    # Ids that were forgotten are smaller than all that are kept.
    seen = _seen(session)
    used = proof.id in seen or (len(seen) == MAX_SEEN_PROOFS and proof.id < seen[0])
    return "reused" if used else None


def note_proof(session: Session, proof: GivenProof) -> Session:
    """Return the session with this good proof noted, which binds it if it has no key."""
    if not isinstance(proof, Proof):
        return session
    newest = sorted([*_seen(session), proof.id])[-MAX_SEEN_PROOFS:]
    return replace(session, key_thumbprint=proof.thumbprint, seen_proofs=" ".join(newest))


def _seen(session: Session | None) -> list[str]:
    return ((session and session.seen_proofs) or "").split()


def _check_key_members(jwk: Any) -> None:
    """Accept a public key of P-256 or Ed25519 only: no private, symmetric or remote key."""
    if not is_jwk(jwk) or jwk["kty"] not in {"EC", "OKP"}:
        raise jws.InvalidJws
    required = required_members(jwk)
    if not jwk.keys() <= required.keys() | _OTHER_KEY_MEMBERS:
        raise jws.InvalidJws
    for name in required.keys() - {"kty", "crv"}:
        jws.base64url_decode(jwk[name])  # canonical, so that a key has one thumbprint


def _normalized(uri: str) -> tuple[str, str | None, int | None, str] | None:
    """Scheme, host, port and path (RFC 3986 sections 6.2.2 and 6.2.3), or None for no such URI."""
    # Without a user. Python's parser drops tabs and line feeds.
    if not re.fullmatch(r"[!-?A-~]+", uri):
        return None
    try:
        url = urlsplit(uri)
        port = _PORTS.get(url.scheme) if url.port is None else url.port
    except ValueError:
        return None
    # Percent-encoding is decoded on both sides, so that its spelling does not matter.
    return url.scheme, url.hostname, port, unquote(url.path)
