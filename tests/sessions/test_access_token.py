"""Access tokens: their claims (RFC 9068), their verification from the JWKS, and their end."""

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
