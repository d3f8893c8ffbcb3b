"""Tokens that nobody with our key has signed, and genuine ones in another form.

In addition to the table in tests/forgeries.
"""

from collections.abc import Callable

import pytest

from app.errors import AccessTokenInvalid
from tests.forgeries.access_signatures import ENCODINGS, ORDER, public_key_encodings
from tests.forgeries.any_jws import mac, respelled
from tests.forgeries.forge import Sign, constant, signer
from tests.sessions.builders import ACCESS_TOKENS, NOW, SESSION_ID, b64
from tests.sessions.forge import make_forge

FORGE = make_forge()
GENUINE = FORGE.token()
HEADER, PAYLOAD, SIGNATURE = GENUINE.split(".")
KEY = FORGE.key


def is_refused(token: str) -> bool:
    try:
        ACCESS_TOKENS.verify(FORGE.ring, token, NOW)
    except AccessTokenInvalid:
        return True
    return False


def test_the_token_under_these_vectors_is_genuine() -> None:
    assert ACCESS_TOKENS.verify(FORGE.ring, GENUINE, NOW).session_id == SESSION_ID


# --- signed by chance, or by another key ---


def pair(r: int, s: int) -> Sign:
    return constant(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def changed(change: Callable[[bytes], bytes]) -> Sign:
    return lambda message: change(FORGE.sign(message))


BAD_SIGNATURES: dict[str, Sign] = {
    "one byte": constant(b"\0"),
    "ones": constant(b"\xff" * 64),
    "r is 0": pair(0, 1),
    "s is 0": pair(1, 0),
    "r and s are 1": pair(1, 1),
    "r is the order, s is 0": pair(ORDER, 0),
    "longer": changed(lambda signature: signature + b"\0"),
    "padded in front": changed(lambda signature: b"\0" + signature),
    "half": changed(lambda signature: signature[:32]),
    "of another message": constant(FORGE.sign(b"another message")),
    "of the RSA key": signer(FORGE.ring.signing_keys[1]),
    "of the Ed25519 key": signer(FORGE.ring.signing_keys[2]),
}


@pytest.mark.parametrize("sign", BAD_SIGNATURES.values(), ids=list(BAD_SIGNATURES))
def test_a_signature_that_is_not_good_is_refused(sign: Sign) -> None:
    assert is_refused(FORGE.token(by=sign))


@pytest.mark.parametrize("algorithm", ["none", "nOnE", ""])
def test_an_unsigned_token_of_two_parts_is_refused(algorithm: str) -> None:
    token = FORGE.token(header={"alg": algorithm}, by=constant(b""))
    assert is_refused(token.removesuffix("."))


# --- our public key taken for a shared secret ---


@pytest.mark.parametrize("name", [*ENCODINGS, "nothing", "kid"])
@pytest.mark.parametrize("bits", [256, 384, 512])
def test_a_public_key_is_never_a_shared_secret(name: str, bits: int) -> None:
    """Under the name of the key of our MACs, or as what it is not."""
    spellings = public_key_encodings(KEY, FORGE.ring.public_jwks())
    sign = mac({**spellings, "nothing": b"", "kid": KEY.kid.encode()}[name], bits)
    header = {"alg": f"HS{bits}", "kid": FORGE.ring.current_secret_key.kid}
    assert is_refused(FORGE.token(header=header, by=sign))
    assert is_refused(FORGE.token(by=sign))


# --- another form ---


def padded_to(residue: int) -> str:
    """A genuine token whose payload is so long that its last character has unused bits."""
    tokens = (FORGE.token(claims={"pad": "x" * length}) for length in range(3))
    return next(token for token in tokens if len(token.split(".")[1]) % 4 == residue)


OTHER_FORMS: dict[str, str] = {
    "dots": "..",
    "space in front": " " + GENUINE,
    "space behind": GENUINE + " ",
    "newline behind": GENUINE + "\n",
    "newline inside": f"{HEADER}.\n{PAYLOAD}.{SIGNATURE}",
    "NUL behind": GENUINE + "\0",
    "scheme in front": "Bearer " + GENUINE,
    "quoted": f'"{GENUINE}"',
    "fullwidth letter": GENUINE.replace("e", "\uff45", 1),
    "lone surrogate": GENUINE + "\ud800",
    "unused bits in the payload": respelled(padded_to(2), 1),
    "payload only": f".{PAYLOAD}.",
    "no payload": f"{HEADER}..{SIGNATURE}",
    "four parts": GENUINE + "." + SIGNATURE,
    "five parts": f"{HEADER}.{PAYLOAD}.{SIGNATURE}.{PAYLOAD}.{SIGNATURE}",
    "impossible length": f"AAAAA.{PAYLOAD}.{SIGNATURE}",
    "twice": f"{GENUINE},{GENUINE}",
    "header of another token": f"{b64(b'{}')}.{PAYLOAD}.{SIGNATURE}",
    "longer than 16 KiB, though genuine": FORGE.token(claims={"pad": "x" * 13_000}),
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
