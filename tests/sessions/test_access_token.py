"""Access tokens: their claims (RFC 9068), their verification from the JWKS, and forged ones.

The forged ones here are beyond the table in tests/forgeries. They are signed with the genuine key,
so that only the content is wrong. tests/jose has the form of a token, of its JSON and of times.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jwt
import pytest
from joserfc import jwt as jose
from joserfc.jwk import KeySet

from app.errors import AccessTokenExpired, AccessTokenInvalid
from app.sessions.tokens import AccessClaims
from tests.forgeries.forge import ABSENT, make_forge, signer
from tests.sessions.builders import (
    ACCESS_TOKENS,
    AUDIENCE,
    DAY,
    EPOCH,
    ISSUER,
    NOW,
    POOL,
    SECOND,
    SESSION_ID,
    SUBJECT,
    ec_jwk,
    ed25519_jwk,
    make_ring,
    make_session,
    oct_jwk,
    rsa_jwk,
)

RING = make_ring()
TOKEN, _ = ACCESS_TOKENS.issue(RING, make_session(), NOW)
CLAIMS = AccessClaims(SESSION_ID, 3, SUBJECT, NOW, NOW + 600 * SECOND, NOW)


def outcome(token: str, now: datetime) -> object:
    try:
        return ACCESS_TOKENS.verify(RING, token, now)
    except (AccessTokenInvalid, AccessTokenExpired) as error:
        return type(error)


# --- written ---


def test_an_issued_token_can_be_verified() -> None:
    assert ACCESS_TOKENS.verify(RING, TOKEN, NOW) == CLAIMS


def test_it_says_what_rfc_9068_asks_for_and_nothing_personal() -> None:
    read = jwt.decode_complete(TOKEN, options={"verify_signature": False})
    assert read["header"] == {"typ": "at+jwt", "alg": "ES256", "kid": RING.signing_key.kid}
    assert read["payload"].pop("jti")
    assert read["payload"] == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": SUBJECT,
        "sid": SESSION_ID,
        "client_id": POOL,
        "iat": EPOCH,
        "exp": EPOCH + 600,
        "auth_time": int((NOW - 2 * DAY).timestamp()),
    }


def test_no_two_tokens_have_the_same_name() -> None:
    tokens = [ACCESS_TOKENS.issue(RING, make_session(), NOW)[0] for _ in range(50)]
    payloads = [jwt.decode(each, options={"verify_signature": False}) for each in tokens]
    assert len({payload["jti"] for payload in payloads}) == 50


@pytest.mark.parametrize("generation", [0, 9, 2**32 - 1])
def test_it_tells_the_generation_that_it_was_made_with(generation: int) -> None:
    token, _ = ACCESS_TOKENS.issue(RING, make_session(generation=generation), NOW)
    assert ACCESS_TOKENS.verify(RING, token, NOW).generation == generation


@pytest.mark.parametrize(("left", "lifetime"), [(601, 600), (600, 600), (599, 599), (1, 1)])
def test_it_never_outlives_the_session(left: int, lifetime: int) -> None:
    session = make_session(expires_at=NOW + left * SECOND)
    token, expires_in = ACCESS_TOKENS.issue(RING, session, NOW)
    assert expires_in == lifetime
    end = NOW + lifetime * SECOND
    assert outcome(token, end - SECOND) == CLAIMS._replace(expires_at=end)
    assert outcome(token, end) is AccessTokenExpired


def test_a_token_that_was_seen_before_is_refused_by_other_keys() -> None:
    assert ACCESS_TOKENS.verify(RING, TOKEN, NOW)
    with pytest.raises(AccessTokenInvalid):
        ACCESS_TOKENS.verify(make_ring(ec_jwk(), oct_jwk()), TOKEN, NOW)
    assert ACCESS_TOKENS.verify(RING, TOKEN, NOW)


def test_the_times_of_a_token_that_was_seen_before_are_checked_again() -> None:
    seen = [outcome(TOKEN, NOW + each * SECOND) for each in (0, -31, 599, 600, -30)]
    assert seen == [CLAIMS, AccessTokenInvalid, CLAIMS, AccessTokenExpired, CLAIMS]


# --- verified by an outsider ---


@pytest.mark.parametrize("make", [ec_jwk, ed25519_jwk, rsa_jwk])
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # EdDSA's newer name
def test_another_library_verifies_it_from_the_published_keys_alone(
    make: Callable[[], dict[str, Any]],
) -> None:
    ring = make_ring(make(), ec_jwk(), oct_jwk())
    published = KeySet.import_key_set(json.loads(json.dumps(ring.public_jwks())))
    token, _ = ACCESS_TOKENS.issue(ring, make_session(), NOW)
    assert ACCESS_TOKENS.verify(ring, token, NOW).session_id == SESSION_ID
    read = jose.decode(token, published, algorithms=[ring.signing_key.algorithm])
    assert read.header["typ"] == "at+jwt"
    assert (read.claims["sub"], read.claims["sid"]) == (SUBJECT, SESSION_ID)


# --- forged ---

FORGE = make_forge()
KID = FORGE.ring.signing_key.kid
ATTACKER = make_ring().signing_key
RANDOM = "A" * 22


def read(token: str) -> AccessClaims:
    return ACCESS_TOKENS.verify(FORGE.ring, token, NOW)


def is_refused(token: str) -> bool:
    try:
        read(token)
    except AccessTokenInvalid:
        return True
    return False


def test_the_forge_makes_genuine_tokens_by_default() -> None:
    assert read(FORGE.token())[:3] == (SESSION_ID, 3, SUBJECT)


# --- claims ---

NOT_TEXT: list[Any] = [None, "", 7, True, [], {}]
NOT_AN_INSTANT: list[Any] = [None, str(EPOCH), EPOCH + 0.5]  # tests/jose has more
WRONG_CLAIMS: dict[str, list[Any]] = {
    "iss": [*NOT_TEXT, ISSUER + "/", ISSUER.upper()],
    "aud": [*NOT_TEXT, AUDIENCE + "/", [AUDIENCE], ISSUER],
    "client_id": [ABSENT, *NOT_TEXT, POOL + "0", POOL[:-1], [POOL]],
    "sub": [*NOT_TEXT, [SUBJECT], {"sub": SUBJECT}],
    "sid": [ABSENT, *NOT_TEXT, [SESSION_ID]],
    "jti": [
        *NOT_TEXT,
        *("3", f"{RANDOM}", f".{RANDOM}", f"-1.{RANDOM}", f"3.{RANDOM[1:]}", f"3.{RANDOM}A"),
        *(f"3.{RANDOM}\n", f" 3.{RANDOM}", f"3,{RANDOM}", f"12345678901.{RANDOM}"),
        *(f"\uff13.{RANDOM}", f"\u0663.{RANDOM}"),
    ],
    "iat": [ABSENT, *NOT_AN_INSTANT, EPOCH - 541, EPOCH + 31],
    "exp": [*NOT_AN_INSTANT, EPOCH + 10 * 365 * 86_400],
    "nbf": [*NOT_AN_INSTANT, EPOCH + 31],
    "auth_time": [ABSENT, *NOT_AN_INSTANT],
}


@pytest.mark.parametrize(
    "claims",
    [
        *({"exp": EPOCH + 590}, {"iat": EPOCH + 30, "exp": EPOCH + 630}, {"auth_time": 0}),
        *({"jti": f"0.{RANDOM}"}, {"scope": "of a later release"}),
    ],
    ids=str,
)
def test_a_token_within_the_limits_is_accepted(claims: dict[str, Any]) -> None:
    assert read(FORGE.token(claims=claims)).session_id == SESSION_ID


EXPIRED = {"iat": EPOCH - 600, "exp": EPOCH}


@pytest.mark.parametrize("name", [name for name in WRONG_CLAIMS if name != "nbf"])
def test_an_expired_token_that_was_never_genuine_is_invalid(name: str) -> None:
    assert is_refused(FORGE.token(claims={**EXPIRED, name: ABSENT}))


# --- headers ---

WRONG_HEADERS: dict[str, list[Any]] = {
    "typ": [None, "", 7, True, {}, ["at+jwt"], "at+JWT", "AT+JWT", "at+jwt "],
    "kid": [
        *(ABSENT, None, True, {}, {"kid": KID}, KID.lower(), KID + " ", KID[:-1]),
        *(ATTACKER.kid, FORGE.ring.current_secret_key.kid),
        *(key.kid for key in FORGE.ring.signing_keys[1:]),
        "https://evil.test/key",
    ],
    "alg": ["", True, {}, "ES256 ", "ES384", "ES256K", "RS256", "PS256", "EdDSA", "HS256", "dir"],
    "cty": ["any"],
}


@pytest.mark.parametrize("key", FORGE.ring.signing_keys, ids=lambda key: key.algorithm)
def test_each_key_verifies_its_own_algorithm_only(key: Any) -> None:
    for algorithm in ("ES256", "RS256", "EdDSA", "HS256", "none"):
        token = FORGE.token(header={"kid": key.kid, "alg": algorithm}, by=signer(key))
        assert is_refused(token) is (algorithm != key.algorithm)


FORGED = {
    "claim": [FORGE.token(claims={n: v}) for n, values in WRONG_CLAIMS.items() for v in values],
    "header": [FORGE.token(header={n: v}) for n, values in WRONG_HEADERS.items() for v in values],
}


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(token, id=f"{part} {number}")
        for part, tokens in FORGED.items()
        for number, token in enumerate(tokens)
    ],
)
def test_a_token_that_is_not_as_we_make_it_is_refused(token: str) -> None:
    assert is_refused(token)
