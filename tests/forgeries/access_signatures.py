"""Access tokens that are signed with another key, another algorithm or in another form."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.forgeries.any_jws import mac
from tests.forgeries.attacker import Attacker
from tests.forgeries.forge import Forgeries, constant, sign_with

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256

MISSING: Forgeries[Attacker] = {
    "token-missing": lambda _: "",
    "token-empty": lambda _: "",
    "token-garbage": lambda _: "garbage",
}


def _encoded(encoding: Encoding, form: PublicFormat, attacker: Attacker) -> bytes:
    return attacker.key.public.public_bytes(encoding, form)


_SPKI, _POINT = PublicFormat.SubjectPublicKeyInfo, PublicFormat.UncompressedPoint
_PEM = partial(_encoded, Encoding.PEM, _SPKI)
ENCODINGS: dict[str, Callable[[Attacker], bytes]] = {
    "pem-lf": _PEM,
    "pem-crlf": lambda attacker: _PEM(attacker).replace(b"\n", b"\r\n"),
    "pem-no-newline": lambda attacker: _PEM(attacker).rstrip(b"\n"),
    "der": partial(_encoded, Encoding.DER, _SPKI),
    "point": partial(_encoded, Encoding.X962, _POINT),
    "jwk-compact": lambda each: json.dumps(each.key.public_jwk, separators=(",", ":")).encode(),
    "jwk-pretty": lambda attacker: json.dumps(attacker.key.public_jwk, indent=2).encode(),
    "jwks": lambda attacker: json.dumps(attacker.ring.public_jwks()).encode(),
    "ssh": partial(_encoded, Encoding.OpenSSH, PublicFormat.OpenSSH),
}
"""Encodings of our public key that a verifier could take for a shared secret."""


def public_key_as_secret(encoding: str, bits: int) -> Callable[[Attacker], str]:
    return lambda attacker: attacker.token(
        header={"alg": f"HS{bits}"}, by=mac(ENCODINGS[encoding](attacker), bits)
    )


PUBLIC_KEY_AS_SECRET: Forgeries[Attacker] = {
    **{f"hs256-{name}": public_key_as_secret(name, 256) for name in ENCODINGS},
    "hs384-pem-lf": public_key_as_secret("pem-lf", 384),
    "hs512-pem-lf": public_key_as_secret("pem-lf", 512),
}


def own_key(algorithm: str, make_key: Callable[[], Any]) -> Callable[[Attacker], str]:
    return lambda attacker: attacker.token(
        header={"alg": algorithm}, by=sign_with(algorithm, make_key())
    )


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
