"""The tokens, read by a library that the sandbox does not use."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet, OctKey

from app.sandbox import Consent, Fault, Sandbox
from app.sandbox.personas import SigningKeys

Exchange = Callable[..., Awaitable[httpx.Response]]
Switch = Callable[..., None]


def pool_key(sandbox: Sandbox) -> OctKey:
    return OctKey.import_key(sandbox.state.options.user_pool_secret)


async def published(upstream: httpx.AsyncClient) -> KeySet:
    return KeySet.import_key_set((await upstream.get("/oidc/.well-known/jwks.json")).json())


async def test_a_legacy_token_is_signed_with_the_pool_secret(
    sandbox: Sandbox, exchange: Exchange
) -> None:
    user = (await exchange(sandbox.state.issue(Consent()))).json()
    token = jwt.decode(user["token"], pool_key(sandbox), algorithms=["HS256"])
    assert token.header == {"alg": "HS256", "typ": "JWT"}
    assert token.claims == {
        "data": {
            "type": "user",
            "userPoolId": sandbox.state.options.user_pool_id,
            "unionid": user["unionid"],
            "id": user["_id"],
            "clientId": sandbox.state.options.user_pool_id,
        },
        "iat": 1_800_000_000,
        "exp": 1_800_000_000 + 1_296_000,
    }


async def test_an_oidc_token_verifies_with_the_published_key(
    sandbox: Sandbox, switch: Switch, upstream: httpx.AsyncClient, exchange: Exchange
) -> None:
    switch(token_algorithm="RS256", issuer="https://idp.example", audience="app-1")
    user = (await exchange(sandbox.state.issue(Consent()))).json()
    token = jwt.decode(user["token"], await published(upstream), algorithms=["RS256"])
    assert token.header == {"alg": "RS256", "typ": "JWT", "kid": "sandbox-1"}
    expected = {"sub": user["_id"], "iss": "https://idp.example", "aud": "app-1"}
    assert expected.items() <= token.claims.items()
    assert token.claims["exp"] - token.claims["iat"] == 3600
    assert "data" not in token.claims
    assert user["tokenExpiredAt"] == "2027-01-15T09:00:00.000Z"


async def test_the_published_keys_are_public_and_reads_are_counted(
    sandbox: Sandbox, upstream: httpx.AsyncClient
) -> None:
    keys = (await upstream.get("/oidc/.well-known/jwks.json")).json()["keys"]
    assert [key.keys() for key in keys] == [{"kty", "use", "alg", "kid", "n", "e"}]
    assert sandbox.state.jwks_reads == 1


async def test_a_bad_legacy_token_is_signed_by_another_key(
    sandbox: Sandbox, exchange: Exchange
) -> None:
    sandbox.state.fault = Fault("bad_token", times=1)
    bad = (await exchange(sandbox.state.issue(Consent()))).json()["token"]
    good = (await exchange(sandbox.state.issue(Consent()))).json()["token"]
    assert bad.rpartition(".")[0] == good.rpartition(".")[0]
    with pytest.raises(BadSignatureError):
        jwt.decode(bad, pool_key(sandbox), algorithms=["HS256"])
    jwt.decode(good, pool_key(sandbox), algorithms=["HS256"])


async def test_a_bad_oidc_token_names_the_right_key_and_does_not_verify(
    sandbox: Sandbox, switch: Switch, upstream: httpx.AsyncClient, exchange: Exchange
) -> None:
    switch(token_algorithm="RS256")
    sandbox.state.keys = SigningKeys("another-made-up-secret", kid="sandbox-2")
    sandbox.state.fault = Fault("bad_token")
    bad = (await exchange(sandbox.state.issue(Consent()))).json()["token"]
    with pytest.raises(BadSignatureError):
        jwt.decode(bad, await published(upstream), algorithms=["RS256"])


@pytest.mark.parametrize(
    ("token", "genuine"), [("good", True), ("x.y.z", False), ("", False), ("no-dots", False)]
)
async def test_the_online_check_knows_its_own_tokens(
    sandbox: Sandbox, *, token: str, genuine: bool
) -> None:
    claims = {"iat": 1, "exp": 2}
    asked = sandbox.state.keys.hs256(claims) if genuine else token
    transport = httpx.ASGITransport(sandbox.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://authing.test") as client:
        answer = (await client.get("/authing/token", params={"access_token": asked})).json()
    expected = (True, 200, claims) if genuine else (False, 2207, None)
    assert (answer["status"], answer["code"], answer["token"]) == expected
