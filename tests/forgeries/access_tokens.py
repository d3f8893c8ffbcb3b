"""Forgeries of our access tokens: their signature, header and claims."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.forgeries.any_jws import ANY_JWS, mac, own_key
from tests.forgeries.forge import ABSENT, AccessForge, Forgeries, constant
from tests.sessions.builders import AUDIENCE, EPOCH, ISSUER, SUBJECT

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
Make: TypeAlias = Callable[[AccessForge], str]

# --- our public key, taken for a shared secret ---


def _pem(forge: AccessForge) -> bytes:
    return forge.key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _jwk(forge: AccessForge) -> bytes:
    return json.dumps(forge.key.public_jwk, separators=(",", ":")).encode()


def public_key_as_secret(encode: Callable[[AccessForge], bytes], bits: int) -> Make:
    return lambda forge: forge.token(header={"alg": f"HS{bits}"}, by=mac(encode(forge), bits))


# --- signatures ---


def pair(r: int, s: int) -> Make:
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return lambda forge: forge.token(by=constant(raw))


def in_der(forge: AccessForge) -> str:
    def sign(message: bytes) -> bytes:
        raw = forge.sign(message)
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        return encode_dss_signature(r, s)

    return forge.token(by=sign)


# --- header and claims: tests/sessions/test_access_token.py has more of them ---

HEADER: dict[str, list[Any]] = {
    "kid": [
        *("../../../../../../etc/hostname", "/dev/null", "' UNION SELECT 'key' --"),
        *("$(touch made-up) | id", "", "A" * 43, 7, ["A"], "k" * 10_000),
    ],
    "alg": ["es256", ["ES256"], 256, None, ABSENT],
    "typ": ["JWT", ABSENT, "rt+jwt", " at+jwt"],
}
CLAIMS: dict[str, list[Any]] = {
    "exp": [ABSENT, None, True, -1, EPOCH + 60.0, str(EPOCH + 60), EPOCH + 591],
    "nbf": [EPOCH + 31],
    "iat": [EPOCH + 31],
    "iss": ["https://evil.test", ISSUER[:-1], [ISSUER], ABSENT],
    "aud": ["https://evil.test", AUDIENCE[:-1], [AUDIENCE, "https://evil.test"], ABSENT],
    "sub": [ABSENT],
    "jti": [ABSENT, "7f000001-0000-4000-8000-000000000000"],
}


def each_of(part: str, members: dict[str, list[Any]]) -> Iterator[tuple[str, Make]]:
    for name, values in members.items():
        for number, value in enumerate(values):
            changes: dict[str, Any] = {part: {name: value}}
            yield f"{part}-{name}-{number}", partial(AccessForge.token, **changes)


def other_environment(forge: AccessForge) -> str:
    return forge.token(header={"kid": forge.own_jwk["kid"]}, by=forge.own_sign)


ACCESS_TOKENS: Forgeries[AccessForge] = {
    **ANY_JWS,
    **{f"hs{bits}-pem": public_key_as_secret(_pem, bits) for bits in (256, 384, 512)},
    "hs256-jwk": public_key_as_secret(_jwk, 256),
    "own-es384-key": own_key("ES384", lambda: ec.generate_private_key(ec.SECP384R1())),
    "own-es512-key": own_key("ES512", lambda: ec.generate_private_key(ec.SECP521R1())),
    "own-ps256-key": own_key("PS256", lambda: rsa.generate_private_key(65537, 2048)),
    "own-eddsa-key": own_key("EdDSA", ed25519.Ed25519PrivateKey.generate),
    "ecdsa-zeros": pair(0, 0),
    "ecdsa-r-is-the-order": pair(ORDER, 1),
    "ecdsa-s-is-the-order": pair(1, ORDER),
    "ecdsa-der": in_der,
    **dict(each_of("header", HEADER)),
    **dict(each_of("claims", CLAIMS)),
    "exp-nan": lambda forge: forge.raw_claim("exp", "NaN"),
    "exp-1e400": lambda forge: forge.raw_claim("exp", "1e400"),
    "claim-twice": lambda forge: forge.raw_claim("sub", f'"{SUBJECT}", "sub": "{SUBJECT}"'),
    "claims-nine-levels-deep": lambda forge: forge.raw_claim("deep", "[" * 8 + "]" * 8),
    "other-environment": other_environment,
    "other-environment-under-our-kid": lambda forge: forge.token(by=forge.own_sign),
}
