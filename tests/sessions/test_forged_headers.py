"""Well-signed tokens whose header would steer the reader: to another key, rule or kind of token.

Beyond the table T1.4 in tests/forgeries.
"""

from typing import Any

import pytest

from app.errors import AccessTokenInvalid
from tests.forgeries.forge import ABSENT, signer
from tests.sessions.builders import ACCESS_TOKENS, NOW, SESSION_ID, make_ring
from tests.sessions.forge import make_forge

FORGE = make_forge()
KID = FORGE.ring.signing_key.kid
ATTACKER = make_ring().signing_key


def is_refused(token: str) -> bool:
    try:
        ACCESS_TOKENS.verify(FORGE.ring, token, NOW)
    except AccessTokenInvalid:
        return True
    return False


REFUSED: dict[str, list[Any]] = {
    "typ": [None, "", 7, True, {}, ["at+jwt"], "at+JWT", "AT+JWT", "at+jwt "],
    "kid": [
        *(ABSENT, None, True, {}, {"kid": KID}),
        KID.lower(),
        KID + " ",
        KID[:-1],
        ATTACKER.kid,
        FORGE.ring.current_secret_key.kid,
        *(key.kid for key in FORGE.ring.signing_keys[1:]),
        "https://evil.test/key",
    ],
    "alg": ["", True, {}, "ES256 ", "ES384", "ES256K", "RS256", "PS256", "EdDSA", "HS256", "dir"],
}
STEERING: dict[str, Any] = {
    "jwk": dict(ATTACKER.public_jwk),
    "jku": "https://evil.test/jwks.json",
    "x5u": "https://evil.test/certificate.pem",
    "x5c": ["MIIB"],
    "x5t": "AAAA",
    "x5t#S256": "AAAA",
    "crit": ["exp"],
    "b64": False,
    "cty": "JWT",
    "zip": "DEF",
    "enc": "A256GCM",
    "p2c": 1_000_000_000,
    "epk": {},
    "KID": KID,
    "": "",
}
EXTRA = [*STEERING.items(), ("crit", None)]
VECTORS = [(name, value) for name, values in REFUSED.items() for value in values] + EXTRA


def test_the_header_under_these_vectors_is_genuine() -> None:
    assert not is_refused(FORGE.token(header={"kid": KID}))


# Numbered: the values hold names of keys that are made anew in each process.
@pytest.mark.parametrize(
    ("name", "value"), VECTORS, ids=[f"{name} {n}" for n, (name, _) in enumerate(VECTORS)]
)
def test_a_header_that_is_not_as_we_write_it_is_refused(name: str, value: Any) -> None:
    assert is_refused(FORGE.token(header={name: value}))


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_a_header_that_brings_and_names_its_own_key_is_refused(name: str) -> None:
    header = {name: STEERING[name], "kid": ATTACKER.kid}
    assert is_refused(FORGE.token(header=header, by=signer(ATTACKER)))


@pytest.mark.parametrize("key", FORGE.ring.signing_keys, ids=lambda key: key.algorithm)
def test_each_key_verifies_its_own_algorithm_only(key: Any) -> None:
    for algorithm in ("ES256", "RS256", "EdDSA", "HS256", "none"):
        token = FORGE.token(header={"kid": key.kid, "alg": algorithm}, by=signer(key))
        assert is_refused(token) is (algorithm != key.algorithm)


HEADERS = {
    "a duplicate member": f'{{"typ":"at+jwt","alg":"ES256","kid":"{KID}","kid":"{KID}"}}',
    "two algorithms": f'{{"typ":"at+jwt","alg":"none","kid":"{KID}","alg":"ES256"}}',
    "a list": f'[{{"typ":"at+jwt","alg":"ES256","kid":"{KID}"}}]',
    "a string": '"ES256"',
    "null": "null",
    "empty": "{}",
    "not JSON": "ES256",
    "NaN": f'{{"typ":"at+jwt","alg":"ES256","kid":"{KID}","x":NaN}}',
    "text behind": f'{{"typ":"at+jwt","alg":"ES256","kid":"{KID}"}}x',
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=list(HEADERS))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_header_that_two_readers_could_read_differently_is_refused(
    header: str, encoding: str
) -> None:
    assert is_refused(FORGE.token(header=header.encode(encoding)))


def test_the_raw_header_under_these_vectors_is_genuine() -> None:
    header = f'{{"typ":"at+jwt","alg":"ES256","kid":"{KID}"}}'
    token = FORGE.token(header=header.encode())
    assert ACCESS_TOKENS.verify(FORGE.ring, token, NOW).session_id == SESSION_ID
