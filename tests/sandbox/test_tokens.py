"""The tokens, read by a library that the sandbox does not use."""

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet, OctKey

from app.sandbox import Fault, Sandbox
from app.sandbox.personas import SigningKeys
from tests.sandbox.conftest import Exchange, Switch


def pool_key(sandbox: Sandbox) -> OctKey:
    return OctKey.import_key(sandbox.state.options.user_pool_secret)


async def published(http: httpx.AsyncClient) -> KeySet:
    return KeySet.import_key_set((await http.get("/oidc/.well-known/jwks.json")).json())


async def test_a_legacy_token_is_signed_with_the_pool_secret(
    sandbox: Sandbox, exchange: Exchange
) -> None:
    user = (await exchange()).json()
    token = jwt.decode(user["token"], pool_key(sandbox), algorithms=["HS256"])
    pool = sandbox.state.options.user_pool_id
    ids = {"userPoolId": pool, "unionid": user["unionid"], "id": user["_id"], "clientId": pool}
    times = {"iat": 1_800_000_000, "exp": 1_800_000_000 + 1_296_000}
    assert token.header == {"alg": "HS256", "typ": "JWT"}
    assert token.claims == {"data": {"type": "user", **ids}, **times}


async def test_an_oidc_token_verifies_with_the_published_key(
    switch: Switch, http: httpx.AsyncClient, exchange: Exchange
) -> None:
    switch(token_algorithm="RS256", issuer="https://idp.example", audience="app-1")
    user = (await exchange()).json()
    token = jwt.decode(user["token"], await published(http), algorithms=["RS256"])
    assert token.header == {"alg": "RS256", "typ": "JWT", "kid": "sandbox-1"}
    expected = {"sub": user["_id"], "iss": "https://idp.example", "aud": "app-1"}
    assert expected.items() <= token.claims.items()
    assert token.claims["exp"] - token.claims["iat"] == 3600
    assert "data" not in token.claims
    assert user["tokenExpiredAt"] == "2027-01-15T09:00:00.000Z"


async def test_the_published_keys_are_public_and_reads_are_counted(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    keys = (await http.get("/oidc/.well-known/jwks.json")).json()["keys"]
    assert [key.keys() for key in keys] == [{"kty", "use", "alg", "kid", "n", "e"}]
    assert sandbox.state.jwks_reads == 1


@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
async def test_a_bad_token_differs_only_in_its_signature(
    sandbox: Sandbox, switch: Switch, http: httpx.AsyncClient, exchange: Exchange, algorithm: str
) -> None:
    switch(token_algorithm=algorithm)
    sandbox.state.keys = SigningKeys(sandbox.state.options.user_pool_secret, kid="sandbox-2")
    key = pool_key(sandbox) if algorithm == "HS256" else await published(http)
    sandbox.state.fault = Fault("bad_token", times=1)
    bad, good = [(await exchange()).json()["token"] for _ in range(2)]
    assert bad.rpartition(".")[0] == good.rpartition(".")[0]
    with pytest.raises(BadSignatureError):
        jwt.decode(bad, key, algorithms=[algorithm])
    jwt.decode(good, key, algorithms=[algorithm])
