"""The documents from which other services verify access tokens."""

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from app import keyfile
from tests.support.running_app import ISSUER, POOL_ID, RunningApp

NAMES = ("oauth-authorization-server", "openid-configuration")


async def test_an_access_token_verifies_with_the_published_keys_alone(app: RunningApp) -> None:
    tokens = await app.log_in()
    jwks = (await app.phone.get("/.well-known/jwks.json")).json()
    token = jwt.decode(tokens["access_token"], KeySet.import_key_set(jwks), algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    claims = dict(token.claims)
    assert claims.pop("jti")
    assert claims == {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": tokens["user"]["sub"],
        "sid": tokens["session"]["id"],
        "client_id": POOL_ID,
        "iat": app.clock.epoch,
        "exp": app.clock.epoch + 600,
        "auth_time": app.clock.epoch,
    }


async def test_no_private_or_symmetric_key_is_published(phone: httpx.AsyncClient) -> None:
    response = await phone.get("/.well-known/jwks.json")
    assert response.status_code == 200
    (key,) = response.json()["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}


async def test_a_key_is_published_before_it_signs(app: RunningApp) -> None:
    kid = keyfile.add(app.settings.session_keys_file, "ES256")
    source = app.services.keys
    assert isinstance(source, keyfile.KeyFile)
    source.follow()
    response = await app.phone.get("/.well-known/jwks.json")
    assert [key["kid"] for key in response.json()["keys"]][1:] == [kid]


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


async def test_keys_and_discovery_may_be_kept_for_five_minutes(phone: httpx.AsyncClient) -> None:
    for name in ("jwks.json", *NAMES):
        response = await phone.get(f"/.well-known/{name}")
        assert response.headers["Cache-Control"] == "public, max-age=300"
