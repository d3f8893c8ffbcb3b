"""Well-signed tokens that say what ours never say, beyond the table T1.4 in tests/forgeries.

The signature alone is not enough.
"""

from typing import Any

import pytest

from app.errors import AccessTokenExpired, AccessTokenInvalid
from app.sessions.access_tokens import AccessClaims
from tests.forgeries.forge import ABSENT
from tests.sessions.builders import (
    ACCESS_TOKENS,
    AUDIENCE,
    EPOCH,
    ISSUER,
    NOW,
    POOL,
    SESSION_ID,
    SUBJECT,
)
from tests.sessions.forge import make_forge

FORGE = make_forge()
RANDOM = "A" * 22


def read(token: str) -> AccessClaims:
    return ACCESS_TOKENS.verify(FORGE.ring, token, NOW)


def test_the_forge_makes_genuine_tokens_unless_told_otherwise() -> None:
    assert read(FORGE.token()) == AccessClaims(SESSION_ID, 3, SUBJECT)


NOT_TEXT: list[Any] = [None, "", 7, True, [], {}]
ODD_NUMBERS: list[Any] = [EPOCH + 0.5, False, EPOCH * 1000, 253_402_300_800, [EPOCH], {}]
NOT_AN_INSTANT: list[Any] = [None, str(EPOCH), float(EPOCH), True, -1, *ODD_NUMBERS]
REFUSED: dict[str, list[Any]] = {
    "iss": [*NOT_TEXT, ISSUER + "/", ISSUER.upper()],
    "aud": [*NOT_TEXT, AUDIENCE + "/", [AUDIENCE], ISSUER],
    "client_id": [ABSENT, *NOT_TEXT, POOL + "0", POOL[:-1], [POOL]],
    "sub": [*NOT_TEXT, [SUBJECT], {"sub": SUBJECT}],
    "sid": [ABSENT, *NOT_TEXT, [SESSION_ID]],
    "jti": [
        *NOT_TEXT,
        "3",
        f"{RANDOM}",
        f".{RANDOM}",
        f"-1.{RANDOM}",
        f"3.{RANDOM[1:]}",
        f"3.{RANDOM}A",
        f"3.{RANDOM}\n",
        f" 3.{RANDOM}",
        f"3,{RANDOM}",
        f"12345678901.{RANDOM}",
        f"\uff13.{RANDOM}",
        f"\u0663.{RANDOM}",
    ],
    "iat": [ABSENT, *NOT_AN_INSTANT, EPOCH - 541],
    "exp": [*ODD_NUMBERS, EPOCH + 10 * 365 * 86_400],
    "nbf": NOT_AN_INSTANT,
    "auth_time": [ABSENT, *NOT_AN_INSTANT],
}
VECTORS = [(name, value) for name, values in REFUSED.items() for value in values]


@pytest.mark.parametrize(
    ("name", "value"),
    VECTORS,
    ids=[f"{name} {'absent' if value is ABSENT else ascii(value)[:30]}" for name, value in VECTORS],
)
def test_a_claim_that_is_missing_or_not_as_we_write_it_is_refused(name: str, value: Any) -> None:
    with pytest.raises(AccessTokenInvalid):
        read(FORGE.token(claims={name: value}))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": EPOCH + 590},
        {"iat": EPOCH + 30, "exp": EPOCH + 630},
        {"auth_time": 0},
        {"jti": f"0.{RANDOM}"},
        {"scope": "of a later release"},
    ],
    ids=str,
)
def test_what_is_within_the_limits_is_believed(claims: dict[str, Any]) -> None:
    assert read(FORGE.token(claims=claims)).session_id == SESSION_ID


@pytest.mark.parametrize("expired_at", [EPOCH - 1, EPOCH - 590])
def test_a_genuine_token_whose_time_is_over_is_told_apart(expired_at: int) -> None:
    times = {"iat": expired_at - 600, "exp": expired_at}
    with pytest.raises(AccessTokenExpired):
        read(FORGE.token(claims=times))


EXPIRED = {"iat": EPOCH - 600, "exp": EPOCH}


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "nbf"])
def test_an_expired_token_that_was_never_genuine_is_invalid(name: str) -> None:
    with pytest.raises(AccessTokenInvalid):
        read(FORGE.token(claims={**EXPIRED, name: ABSENT}))


# --- payloads that are not one strict JSON object ---


GENUINE = (
    f'"iss": "{ISSUER}", "aud": "{AUDIENCE}", "sub": "{SUBJECT}", "sid": "{SESSION_ID}",'
    f' "jti": "3.{RANDOM}", "client_id": "{POOL}", "iat": {EPOCH}, "auth_time": {EPOCH}'
)
PAYLOADS = {
    "two expiries": f'{{{GENUINE}, "exp": {EPOCH + 60}, "exp": {EPOCH + 60}}}',
    "exp is infinite": f'{{{GENUINE}, "exp": Infinity}}',
    "exp is 1e3": f'{{{GENUINE}, "exp": 1e3}}',
    "exp has 5,000 digits": f'{{{GENUINE}, "exp": {"9" * 5000}}}',
    "a lone surrogate": f'{{{GENUINE}, "exp": {EPOCH + 60}, "x": "\\ud800"}}',
    "text behind": f'{{{GENUINE}, "exp": {EPOCH + 60}}} {{}}',
    "a list": f'[{{{GENUINE}, "exp": {EPOCH + 60}}}]',
    "a string": '"claims"',
    "null": "null",
    "a number": "7",
    "not JSON": "claims",
}


def test_the_payload_under_these_vectors_is_genuine() -> None:
    assert read(FORGE.token(claims=f'{{{GENUINE}, "exp": {EPOCH + 60}}}'.encode()))


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=list(PAYLOADS))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_payload_that_two_readers_could_read_differently_is_refused(
    payload: str, encoding: str
) -> None:
    with pytest.raises(AccessTokenInvalid):
        read(FORGE.token(claims=payload.encode(encoding)))
