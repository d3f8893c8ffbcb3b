"""Tokens that nobody with our key has signed, and genuine ones in another form."""

import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.errors import AccessTokenInvalid
from app.sessions.tokens import write_refresh_token
from tests.sessions.builders import ACCESS_TOKENS, NOW, SESSION_ID, b64, make_ring
from tests.sessions.forge import Forge, Sign, compact, signer

FORGE = Forge()
GENUINE = FORGE.token()
HEADER, PAYLOAD, SIGNATURE = GENUINE.split(".")
KEY = FORGE.ring.signer
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


def is_refused(token: str) -> bool:
    try:
        ACCESS_TOKENS.read(FORGE.ring, token, NOW)
    except AccessTokenInvalid:
        return True
    return False


def test_the_token_under_these_vectors_is_genuine() -> None:
    assert ACCESS_TOKENS.read(FORGE.ring, GENUINE, NOW).session_id == SESSION_ID


# --- unsigned, or signed by chance ---


def constant(signature: bytes) -> Sign:
    return lambda _message: signature


def pair(r: int, s: int) -> Sign:
    return constant(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def in_der(message: bytes) -> bytes:
    raw = signer(KEY)(message)
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def flipped(position: int) -> Sign:
    def sign(message: bytes) -> bytes:
        signature = bytearray(signer(KEY)(message))
        signature[position] ^= 1
        return bytes(signature)

    return sign


BAD_SIGNATURES: dict[str, Sign] = {
    "empty": constant(b""),
    "one byte": constant(b"\0"),
    "zeros": constant(bytes(64)),
    "ones": constant(b"\xff" * 64),
    "r is 0": pair(0, 1),
    "s is 0": pair(1, 0),
    "r and s are 1": pair(1, 1),
    "r is the order": pair(ORDER, 1),
    "s is the order": pair(1, ORDER),
    "r is the order, s is 0": pair(ORDER, 0),
    "first bit": flipped(0),
    "middle bit": flipped(32),
    "last bit": flipped(63),
    "cut off": lambda message: signer(KEY)(message)[:-1],
    "longer": lambda message: signer(KEY)(message) + b"\0",
    "padded in front": lambda message: b"\0" + signer(KEY)(message),
    "half": lambda message: signer(KEY)(message)[:32],
    "DER": in_der,
    "of another message": constant(signer(KEY)(b"another message")),
    "of another key": signer(make_ring().signer),
    "of the RSA key": signer(FORGE.ring.signing[1]),
    "of the Ed25519 key": signer(FORGE.ring.signing[2]),
}


@pytest.mark.parametrize("sign", BAD_SIGNATURES.values(), ids=list(BAD_SIGNATURES))
def test_a_signature_that_is_not_good_is_refused(sign: Sign) -> None:
    assert is_refused(FORGE.token(by=sign))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "noNE", ""])
@pytest.mark.parametrize("end", ["", ".", f".{SIGNATURE}"], ids=["no part", "empty part", "any"])
def test_an_unsigned_token_is_refused(algorithm: str, end: str) -> None:
    unsigned = FORGE.token(header={"alg": algorithm}, by=constant(b""))
    assert is_refused(unsigned.removesuffix(".") + end)


# --- our public key taken for a shared secret ---

PEM = KEY.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SHARED_SECRETS: dict[str, bytes] = {
    "nothing": b"",
    "PEM": PEM,
    "PEM without its last newline": PEM.rstrip(b"\n"),
    "PEM with CRLF": PEM.replace(b"\n", b"\r\n"),
    "DER": KEY.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "SSH": KEY.public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    "point": KEY.public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    "JWK": json.dumps(KEY.public_jwk, separators=(",", ":")).encode(),
    "pretty JWK": json.dumps(KEY.public_jwk, indent=2).encode(),
    "JWKS": json.dumps(FORGE.ring.public_jwks()).encode(),
    "kid": KEY.kid.encode(),
}


@pytest.mark.parametrize("bits", [256, 384, 512])
@pytest.mark.parametrize("secret", SHARED_SECRETS.values(), ids=list(SHARED_SECRETS))
def test_a_public_key_is_never_a_shared_secret(secret: bytes, bits: int) -> None:
    def sign(message: bytes) -> bytes:
        return hmac.digest(secret, message, f"sha{bits}")

    for kid in (KEY.kid, FORGE.ring.binder.kid):
        assert is_refused(FORGE.token(header={"alg": f"HS{bits}", "kid": kid}, by=sign))
        assert is_refused(FORGE.token(header={"kid": kid}, by=sign))


# --- another form ---


def with_unused_bits(part: str) -> str:
    """Another spelling of the same bytes: the last character has bits that count for nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(part) % 4 != 0
    return part[:-1] + alphabet[alphabet.index(part[-1]) + 1]


def as_json(**members: Any) -> str:
    return json.dumps(members)


def padded_to(residue: int) -> str:
    """A genuine token whose payload is so long that its last character has unused bits."""
    for length in range(3):
        token = FORGE.token(claims={"pad": "x" * length})
        if len(token.split(".")[1]) % 4 == residue:
            return token
    raise AssertionError


def respelled(token: str, part: int) -> str:
    parts = token.split(".")
    parts[part] = with_unused_bits(parts[part])
    return ".".join(parts)


OTHER_FORMS: dict[str, str] = {
    "nothing": "",
    "dots": "..",
    "space in front": " " + GENUINE,
    "space behind": GENUINE + " ",
    "newline behind": GENUINE + "\n",
    "newline inside": f"{HEADER}.\n{PAYLOAD}.{SIGNATURE}",
    "NUL behind": GENUINE + "\0",
    "scheme in front": "Bearer " + GENUINE,
    "quoted": f'"{GENUINE}"',
    "padded": f"{HEADER}.{PAYLOAD}.{SIGNATURE}==",
    "plain base64": GENUINE.replace("-", "+").replace("_", "/") + "+/",
    "fullwidth dot": GENUINE.replace(".", "\uff0e"),
    "fullwidth letter": GENUINE.replace("e", "\uff45", 1),
    "lone surrogate": GENUINE + "\ud800",
    "unused bits in the signature": respelled(GENUINE, 2),
    "unused bits in the payload": respelled(padded_to(2), 1),
    "no signature": f"{HEADER}.{PAYLOAD}",
    "payload only": f".{PAYLOAD}.",
    "no payload": f"{HEADER}..{SIGNATURE}",
    "four parts": GENUINE + "." + SIGNATURE,
    "five parts": f"{HEADER}.{PAYLOAD}.{SIGNATURE}.{PAYLOAD}.{SIGNATURE}",
    "impossible length": f"AAAAA.{PAYLOAD}.{SIGNATURE}",
    "twice": f"{GENUINE},{GENUINE}",
    "JSON, flattened": as_json(protected=HEADER, payload=PAYLOAD, signature=SIGNATURE),
    "JSON, general": as_json(
        payload=PAYLOAD, signatures=[{"protected": HEADER, "signature": SIGNATURE}]
    ),
    "nested": compact(FORGE.header, GENUINE.encode(), signer(KEY)),
    "header of another token": f"{b64(b'{}')}.{PAYLOAD}.{SIGNATURE}",
    "payload of another token": f"{HEADER}.{b64(json.dumps(FORGE.claims).encode())}x.{SIGNATURE}",
    "8 KiB of noise": "A" * 8192,
    "8 KiB of noise in three parts": ".".join(["A" * 2728] * 3),
    "1 MiB of noise": "A" * 1_048_576,
    "longer than 16 KiB, though genuine": FORGE.token(claims={"pad": "x" * 13_000}),
    "refresh token": write_refresh_token(FORGE.ring.binder, SESSION_ID, 3),
    "another service's token": Forge().token(),
}


@pytest.mark.parametrize("token", OTHER_FORMS.values(), ids=list(OTHER_FORMS))
def test_what_is_not_exactly_our_form_is_refused(token: str) -> None:
    assert is_refused(token)


def test_a_long_token_within_the_limit_is_still_read() -> None:
    assert not is_refused(FORGE.token(claims={"pad": "x" * 8000}))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_parts_cannot_be_exchanged_between_genuine_tokens(part: int) -> None:
    other = FORGE.token(header={"typ": "at+jwt"}, claims={"sub": "another user"}).split(".")
    mixed = GENUINE.split(".")
    mixed[part] = other[part]
    assert is_refused(".".join(mixed)) is (part != 0)  # the headers are the same
