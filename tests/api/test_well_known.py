"""What other services verify tokens from, and what the app launches the mini program with."""

from urllib.parse import parse_qsl

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.support.running_app import ISSUER, POOL_ID, RunningApp

NAMES = ("oauth-authorization-server", "openid-configuration")


async def test_an_access_token_verifies_with_the_published_keys_alone(app: RunningApp) -> None:
    tokens = await app.log_in()
    jwks = (await app.phone.get("/.well-known/jwks.json")).json()
    token = jwt.decode(tokens["access_token"], KeySet.import_key_set(jwks), algorithms=["ES256"])
    assert (token.claims["iss"], token.claims["aud"]) == (ISSUER, ISSUER)
    assert token.claims["sub"] == tokens["user"]["sub"]
    assert token.claims["client_id"] == POOL_ID


async def test_no_private_or_symmetric_key_is_published(phone: httpx.AsyncClient) -> None:
    response = await phone.get("/.well-known/jwks.json")
    assert response.status_code == 200
    (key,) = response.json()["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}


@pytest.mark.parametrize("name", NAMES)
async def test_discovery_leads_to_the_keys(phone: httpx.AsyncClient, name: str) -> None:
    response = await phone.get(f"/.well-known/{name}")
    assert response.status_code == 200
    assert response.json()["issuer"] == ISSUER
    assert response.json()["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"


@pytest.mark.parametrize("app", [{"session_issuer": f"{ISSUER}/a%20b/login"}], indirect=True)
@pytest.mark.parametrize("name", NAMES)
async def test_an_issuer_with_a_path_is_in_every_address(app: RunningApp, name: str) -> None:
    """The proxy strips the path, but not from the well-known path of RFC 8414 section 3.1."""
    for path in (f"/.well-known/{name}", f"/.well-known/{name}/a%20b/login"):
        response = await app.phone.get(path)
        assert response.headers["Cache-Control"] == "public, max-age=300"
        assert response.json()["issuer"] == f"{ISSUER}/a%20b/login"
        assert response.json()["jwks_uri"] == f"{ISSUER}/a%20b/login/.well-known/jwks.json"
        assert (await app.phone.head(path)).status_code == 200
    for path in ("/login", "/a%20b", "/a%20b/login/", "/a%20b/login/.well-known/jwks.json"):
        assert (await app.phone.get(f"/.well-known/{name}{path}")).status_code == 404
    login = await app.try_log_in(app.ticket())
    assert login.headers["Location"] == f"/a%20b/login/v1/sessions/{login.json()['session']['id']}"


# --- launch ---


async def test_the_launch_is_for_the_platform_and_the_pool(phone: httpx.AsyncClient) -> None:
    launch = (await phone.get("/v1/launch?platform=ios&get_phone=false")).json()
    path, _, query = launch.pop("path").partition("?")
    assert path == "/routes/explore"
    expected = {"userPoolId": POOL_ID, "getPhone": "0", "fromApp": "1", "useSelfWxapp": "0"}
    assert dict(parse_qsl(query)) == expected
    assert launch == {
        "user_name": "gh_a781a791e29e",
        "mini_program_type": 0,
        "mini_program_type_name": "WXMiniProgramTypeRelease",
    }


@pytest.mark.parametrize(("name", "value"), [("platform", "symbian"), ("get_phone", "perhaps")])
async def test_an_unknown_choice_is_refused_by_name_and_not_cached(
    phone: httpx.AsyncClient, name: str, value: str
) -> None:
    response = await phone.get("/v1/launch", params={name: value})
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["pointer"].endswith(name)
    assert value not in response.text
    assert response.headers["Cache-Control"] == "no-store"
