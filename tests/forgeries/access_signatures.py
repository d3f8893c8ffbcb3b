"""Access tokens that are signed with another key, another algorithm or in another form."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.jose.key_ring import SigningKey
from tests.forgeries.any_jws import mac
from tests.forgeries.attacker import Attacker
from tests.forgeries.forge import Forgeries, constant, sign_with

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256

MISSING: Forgeries[Attacker] = {
    "token-missing": lambda _: "",
    "token-empty": lambda _: "",
    "token-garbage": lambda _: "garbage",
}


def public_key_encodings(key: SigningKey, jwks: Mapping[str, Any]) -> dict[str, bytes]:
    """Encodings of our public key that a verifier could take for a shared secret."""
    pem = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "pem-lf": pem,
        "pem-crlf": pem.replace(b"\n", b"\r\n"),
        "pem-no-newline": pem.rstrip(b"\n"),
        "der": key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "point": key.public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        "jwk-compact": json.dumps(key.public_jwk, separators=(",", ":")).encode(),
        "jwk-pretty": json.dumps(key.public_jwk, indent=2).encode(),
        "jwks": json.dumps(jwks).encode(),
        "ssh": key.public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    }


ENCODINGS = (
    *("pem-lf", "pem-crlf", "pem-no-newline", "der", "point"),
    *("jwk-compact", "jwk-pretty", "jwks", "ssh"),
)


def public_key_as_secret(encoding: str, bits: int) -> Callable[[Attacker], str]:
    def make(attacker: Attacker) -> str:
        secret = public_key_encodings(attacker.key, attacker.ring.public_jwks())[encoding]
        return attacker.token(header={"alg": f"HS{bits}"}, by=mac(secret, bits))

    return make


PUBLIC_KEY_AS_SECRET: Forgeries[Attacker] = {
    **{f"hs256-{name}": public_key_as_secret(name, 256) for name in ENCODINGS},
    "hs384-pem-lf": public_key_as_secret("pem-lf", 384),
    "hs512-pem-lf": public_key_as_secret("pem-lf", 512),
}


def own_key(algorithm: str, make_key: Callable[[], Any]) -> Callable[[Attacker], str]:
    def make(attacker: Attacker) -> str:
        return attacker.token(header={"alg": algorithm}, by=sign_with(algorithm, make_key()))

    return make


def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


OTHER_ALGORITHM: Forgeries[Attacker] = {
    "own-es384-key": own_key("ES384", lambda: ec.generate_private_key(ec.SECP384R1())),
    "own-es512-key": own_key("ES512", lambda: ec.generate_private_key(ec.SECP521R1())),
    "own-rs256-key": own_key("RS256", _rsa),
    "own-ps256-key": own_key("PS256", _rsa),
    "own-eddsa-key": own_key("EdDSA", ed25519.Ed25519PrivateKey.generate),
}


def pair(r: int, s: int) -> Callable[[Attacker], str]:
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return lambda attacker: attacker.token(by=constant(raw))


def in_der(attacker: Attacker) -> str:
    def sign(message: bytes) -> bytes:
        raw = attacker.sign(message)
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        return encode_dss_signature(r, s)

    return attacker.token(by=sign)


ECDSA: Forgeries[Attacker] = {
    "ecdsa-zeros": pair(0, 0),
    "ecdsa-r-is-the-order": pair(ORDER, 1),
    "ecdsa-s-is-the-order": pair(1, ORDER),
    "ecdsa-der": in_der,
}
