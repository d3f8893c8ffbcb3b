"""The tokens of Authing that are accepted, and those that are not (RFC 8725).

In addition to the tables in tests/forgeries.
"""

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.authing.verifier import Algorithm, SignatureCheck, TokenKey, Verifier, shared_secrets
from app.errors import AuthingTokenInvalid
from tests.authing.builders import (
    EPOCH,
    NOW,
    POOL,
    SECRET,
    UNIONID,
    USER_ID,
    encoded,
    hs256_verifier,
    legacy_claims,
    sign_token,
    verifier,
)
from tests.forgeries.any_jws import mac
from tests.forgeries.forge import ABSENT, compact

ISSUER = "https://app.example.com/oidc"
APP_ID = "5e0000000000000000000099"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def id_token_claims(**changes: Any) -> dict[str, Any]:
    times = {"iat": EPOCH, "exp": EPOCH + 3600}
    return {"sub": USER_ID, "aud": APP_ID, "iss": ISSUER, "nonce": "n", **times, **changes}


def present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ABSENT}


def with_data(**changes: Any) -> dict[str, Any]:
    return legacy_claims(data=present({**legacy_claims()["data"], **changes}))


class FixedKeys:
    """The same keys for every token."""

    def __init__(self, *keys: TokenKey) -> None:
        self._keys = keys

    async def candidates(self, algorithm: str, kid: str | None) -> tuple[TokenKey, ...]:
        return self._keys


def oidc_verifier(*keys: TokenKey) -> Verifier:
    return verifier(SignatureCheck(FixedKeys(*keys).candidates), issuer=ISSUER, audience=APP_ID)


async def refuses(token: str, by: Verifier | None = None) -> None:
    with pytest.raises(AuthingTokenInvalid) as refusal:
        await (by or hs256_verifier()).verify(token)
    assert refusal.value.outcome == "bad_token"


# --- accepted tokens ---


async def test_a_legacy_token_gives_user_unionid_and_issue_time() -> None:
    signed = await hs256_verifier().verify(sign_token())
    assert (signed.user_id, signed.unionid) == (USER_ID, UNIONID)
    assert signed.issued_at.timestamp() == EPOCH - 5


@pytest.mark.parametrize(
    "data",
    [
        {"email": None, "id": USER_ID, "clientId": POOL},
        {"_id": USER_ID, "userPoolId": POOL, "set by a pipeline": "anything"},
    ],
)
async def test_every_known_form_of_data_is_read(data: dict[str, Any]) -> None:
    signed = await hs256_verifier().verify(sign_token(legacy_claims(data=data)))
    assert signed.user_id == USER_ID


def hybrid_claims(**changes: Any) -> dict[str, Any]:
    """The claims of a token that is legacy and OpenID Connect at once, with a life of 14 days."""
    data = {
        "type": "user",
        "userPoolId": POOL,
        "appId": APP_ID,
        "arn": f"arn:cn:authing:{POOL}:user:{USER_ID}",
        **dict.fromkeys(("id", "userId", "_id"), USER_ID),
        **dict.fromkeys(("phone", "email", "username"), None),
        "unionid": UNIONID,
        "openid": "made-up-openid",
        "clientId": POOL,
    }
    profile = {"nickname": "小明", "gender": "U", "birthdate": None, "phone_number_verified": False}
    app = {"aud": APP_ID, "iss": ISSUER, "userpool_id": POOL, "sub": USER_ID}
    times = {"iat": EPOCH - 5, "exp": EPOCH - 5 + 1_209_600}
    return {**app, **profile, "data": data, **times, **changes}


@pytest.mark.parametrize("expected", [{}, {"issuer": ISSUER, "audience": APP_ID}])
async def test_a_hybrid_token_is_read_like_a_legacy_one(expected: dict[str, Any]) -> None:
    by = hs256_verifier(**expected)
    signed = await by.verify(sign_token(hybrid_claims()))
    assert (signed.user_id, signed.unionid) == (USER_ID, UNIONID)
    for wrong in ({"iat": EPOCH - 700}, {"sub": "5e00000000000000000000bb"}, {"exp": EPOCH - 40}):
        await refuses(sign_token(hybrid_claims(**wrong)), by)


@pytest.mark.parametrize("headers", [{}, {"typ": "jwt"}, {"typ": None}, {"kid": "any"}])
async def test_a_header_may_have_a_type_and_a_key_name(headers: dict[str, Any]) -> None:
    token = sign_token(headers=headers)  # PyJWT leaves a type of None out
    assert (await hs256_verifier().verify(token)).user_id == USER_ID


@pytest.mark.parametrize("audience", [APP_ID, [APP_ID]])
@pytest.mark.parametrize(("key", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256")])
async def test_an_id_token_is_accepted_if_issuer_and_audience_match(
    key: Any, algorithm: Algorithm, audience: object
) -> None:
    token = sign_token(id_token_claims(aud=audience), key=key, algorithm=algorithm)
    signed = await oidc_verifier(TokenKey(algorithm, key.public_key())).verify(token)
    assert (signed.user_id, signed.unionid) == (USER_ID, None)


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_any_of_the_listed_secrets_may_have_signed(position: int) -> None:
    secrets = [
        "first-secret-made-up-0123456789ab",
        "short-secret-16b",
        "the-app-secret-" + "x" * 60,
    ]
    token = sign_token(key=secrets[position].ljust(32, "\0"))
    assert (await hs256_verifier(*secrets).verify(token)).user_id == USER_ID


async def test_a_secret_that_is_not_listed_signs_nothing() -> None:
    await refuses(sign_token(key="another-secret-made-up-0123456789"))
    await refuses(sign_token(), hs256_verifier("another-secret-made-up-0123456789"))


async def test_every_token_is_refused_without_keys() -> None:
    await refuses(sign_token(), verifier(SignatureCheck(shared_secrets(list))))


# --- times ---


@pytest.mark.parametrize(
    ("age", "max_age", "good"),
    [
        *((599, 600, True), (601, 600, False), (0, 600, True), (-25, 600, True)),
        (30 * 86_400, 0, True),  # zero accepts any age
    ],
)
async def test_a_token_older_than_the_maximum_age_is_refused(
    age: int, max_age: int, *, good: bool
) -> None:
    token = sign_token(legacy_claims(iat=EPOCH - age, exp=EPOCH + 60))
    by = hs256_verifier(max_age=max_age)
    if good:
        assert (await by.verify(token)).user_id == USER_ID
    else:
        await refuses(token, by)


async def test_an_issue_time_ahead_of_our_clock_becomes_now() -> None:
    signed = await hs256_verifier().verify(sign_token(legacy_claims(iat=EPOCH + 20)))
    assert signed.issued_at == NOW.replace(microsecond=0)


@pytest.mark.parametrize(
    "times",
    [
        *({"exp": end} for end in ((EPOCH + 60) * 1000, 253_402_300_799)),
        *({"exp": end, "iat": EPOCH - 5} for end in (EPOCH - 5, EPOCH - 6)),
        {"iat": EPOCH * 1000},
        *({"nbf": start} for start in (None, str(EPOCH), EPOCH * 1000)),
    ],
)
async def test_times_are_whole_seconds_in_a_sane_range(times: dict[str, Any]) -> None:
    await refuses(sign_token(legacy_claims(**times)), hs256_verifier(max_age=0))


# --- audience and user ---


ANOTHER = "5e00000000000000000000bb"
WRONG_DATA: dict[str, list[Any]] = {
    "clientId": [ABSENT, None, "", [POOL], True, ANOTHER],
    "userPoolId": [ANOTHER],
    "id": [ABSENT, None, "", 7, [USER_ID]],
    "_id": [ANOTHER],
    "userId": [ANOTHER],
    "unionid": [7, ["a"]],
}
WRONG_CLAIMS: dict[str, list[Any]] = {
    "sub": [ANOTHER, 7],
    "data": [ABSENT, None, "made-up", [], {}],
    "iat": [ABSENT],
    "exp": [ABSENT],
}


@pytest.mark.parametrize(
    "claims",
    [
        *(with_data(**{name: value}) for name in WRONG_DATA for value in WRONG_DATA[name]),
        *(present(legacy_claims(**{n: v})) for n in WRONG_CLAIMS for v in WRONG_CLAIMS[n]),
        id_token_claims(),
    ],
)
async def test_a_token_for_another_pool_or_without_a_user_is_refused(
    claims: dict[str, Any],
) -> None:
    await refuses(sign_token(claims))


WRONG_ID_TOKEN: dict[str, list[Any]] = {
    "iss": [f"{ISSUER}/", ISSUER.removesuffix("/oidc"), [ISSUER], None],
    "aud": ["another", APP_ID[:-1], None, [], [APP_ID, "another"], [APP_ID, APP_ID]],
    "sub": [None, ""],
    "data": [{"id": USER_ID}, {"clientId": ANOTHER}],
}


@pytest.mark.parametrize(
    "claims",
    [
        *(id_token_claims(**{n: v}) for n in WRONG_ID_TOKEN for v in WRONG_ID_TOKEN[n]),
        legacy_claims(),
    ],
)
async def test_issuer_and_audience_must_match_exactly(claims: dict[str, Any]) -> None:
    by = oidc_verifier(TokenKey("RS256", RSA_KEY.public_key()))
    await refuses(sign_token(claims, key=RSA_KEY, algorithm="RS256"), by)


@pytest.mark.parametrize("expected", [{}, {"issuer": ISSUER}, {"audience": APP_ID}])
async def test_a_token_that_names_no_pool_needs_both_issuer_and_audience(
    expected: dict[str, Any],
) -> None:
    await refuses(sign_token(id_token_claims()), hs256_verifier(**expected))


async def test_an_hs256_id_token_is_accepted_with_issuer_and_audience() -> None:
    by = hs256_verifier(issuer=ISSUER, audience=APP_ID)
    assert (await by.verify(sign_token(id_token_claims()))).user_id == USER_ID


# --- forgeries ---


async def test_a_public_key_is_not_accepted_as_a_shared_secret() -> None:
    # The algorithm is compared before the key is used, so one encoding shows it for all.
    public = RSA_KEY.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    token = compact({"alg": "HS256"}, legacy_claims(), mac(pem, 256))
    await refuses(token, oidc_verifier(TokenKey("RS256", public)))


WRONG_HEADER: dict[str, list[Any]] = {
    "cty": ["JWT"],
    "typ": ["at+jwt", "JOSE", " JWT", "", 7, ["JWT"]],
    "kid": [7, ["a"]],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in WRONG_HEADER for value in WRONG_HEADER[name]]
)
async def test_a_header_with_another_member_or_type_is_refused(name: str, value: Any) -> None:
    header = {"alg": "HS256", "typ": "JWT", name: value}
    await refuses(compact(header, legacy_claims(), mac(SECRET.encode(), 256)))


def profile(members: str, **changes: Any) -> str:
    """Sign claims with this text at their end, as an ID token repeats the user's profile."""
    claims = encoded(legacy_claims(**changes))
    return jwt.PyJWS().encode(f"{claims[:-1]}, {members}}}".encode(), SECRET, "HS256")


@pytest.mark.parametrize(
    "members",
    [
        '"nickname": "ab\\ud83d"',
        '"custom": {"sid": 1234567890123456800, "a": 1, "a": 2}',
        '"score": 1e400',
        '"custom": %s' % ("[" * 20 + "]" * 20),
    ],
)
async def test_a_claim_that_decides_nothing_costs_no_login(members: str) -> None:
    assert (await hs256_verifier().verify(profile(members))).user_id == USER_ID


@pytest.mark.parametrize(
    "members",
    [
        *(f'"{name}": {EPOCH}, "{name}": {EPOCH}' for name in ("iat", "exp", "nbf")),
        f'"sub": "{USER_ID}", "sub": "{USER_ID}"',
        '"exp": 1234567890123456800',
        '"nbf": NaN',
    ],
)
async def test_a_claim_that_decides_must_have_one_value(members: str) -> None:
    await refuses(profile(members))


@pytest.mark.parametrize("name", ["id", "_id", "userId", "clientId", "userPoolId", "unionid"])
async def test_a_member_of_data_that_decides_must_have_one_value(name: str) -> None:
    data = legacy_claims()["data"]
    value = encoded(data.get(name, POOL if name == "userPoolId" else USER_ID))
    twice = f'{encoded(data)[:-1]}, "{name}": {value}, "{name}": {value}}}'
    payload = encoded(legacy_claims(data="DATA")).replace('"DATA"', twice)
    await refuses(jwt.PyJWS().encode(payload.encode(), SECRET, "HS256"))


@pytest.mark.parametrize("payload", [b"[]", b"\xff", b'{"data": {}, "data": {}}'])
async def test_a_signed_payload_that_is_not_a_strict_object_is_refused(payload: bytes) -> None:
    await refuses(jwt.PyJWS().encode(payload, SECRET, "HS256"))


def test_the_repr_of_a_key_holds_no_secret() -> None:
    assert SECRET not in repr(TokenKey("HS256", SECRET.encode()))
