"""Introspection (RFC 7662) and revocation (RFC 7009): forms in, OAuth's own answers out."""

from base64 import b64encode
from typing import Any

import httpx
import pytest

from tests.api.routes import OAUTH
from tests.support.running_app import (
    ISSUER,
    OTHER_SERVICE_KEY,
    POOL_ID,
    SERVICE,
    SERVICE_KEY,
    RunningApp,
)

FORM = "application/x-www-form-urlencoded"
INACTIVE = {"active": False}


async def introspect(app: RunningApp, token: str, **more: str) -> dict[str, Any]:
    form = {"token": token, **more}
    response = await app.phone.post("/oauth2/introspect", data=form, headers=SERVICE)
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
    told: dict[str, Any] = response.json()
    return told


async def revoke(app: RunningApp, token: str, **more: str) -> None:
    response = await app.phone.post("/oauth2/revoke", data={"token": token, **more})
    assert (response.status_code, response.content) == (200, b"")


def refusal(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.json().keys() == {"error", "error_description"}
    return response.status_code, response.json()["error"]


# --- introspection ---


async def test_an_active_token_is_described(app: RunningApp) -> None:
    tokens = await app.log_in()
    common = {
        "active": True,
        "iss": ISSUER,
        "sub": tokens["user"]["sub"],
        "sid": tokens["session"]["id"],
        "client_id": POOL_ID,
    }
    now = app.clock.epoch
    access = {"aud": ISSUER, "iat": now, "exp": now + 600, "token_type": "Bearer"}
    refresh = {"exp": now + tokens["refresh_expires_in"], "token_type": "refresh_token"}
    for hint in ("access_token", "refresh_token", "made-up"):
        told = await introspect(app, tokens["access_token"], token_type_hint=hint)
        assert told == common | access
        told = await introspect(app, tokens["refresh_token"], token_type_hint=hint)
        assert told == common | refresh


async def test_of_an_inactive_token_nothing_more_is_told(app: RunningApp) -> None:
    tokens = await app.log_in()
    for token in ("made-up", "rt_" + "a" * 70, "a.b.c", SERVICE_KEY, "rt_é"):
        assert await introspect(app, token) == INACTIVE
    app.clock.advance(seconds=600)
    assert await introspect(app, tokens["access_token"]) == INACTIVE
    await app.log_out(await app.refresh(tokens["refresh_token"]))
    assert await introspect(app, tokens["refresh_token"]) == INACTIVE


async def test_a_refresh_token_is_active_as_long_as_a_refresh_with_it_would_succeed(
    app: RunningApp,
) -> None:
    tokens = await app.log_in()
    successor = await app.refresh(tokens["refresh_token"])
    told = await introspect(app, tokens["refresh_token"])
    assert (told["active"], told["exp"]) == (True, app.clock.epoch + 24 * 3600)
    assert (await introspect(app, successor["refresh_token"]))["active"]
    assert (await app.refresh(tokens["refresh_token"]))["outcome"] == "replayed"
    assert (await introspect(app, successor["access_token"]))["active"]
    assert await introspect(app, tokens["refresh_token"]) == INACTIVE
    assert (await app.refresh(successor["refresh_token"]))["outcome"] == "rotated"


@pytest.mark.parametrize("key", [SERVICE_KEY, OTHER_SERVICE_KEY])
async def test_a_service_key_is_a_bearer_token_or_the_password_of_any_user(
    app: RunningApp, key: str
) -> None:
    pairs = f":{key}", f"gateway:{key}", f"a%3Ab:{key.replace('-', '%2D')}"
    basic = [b64encode(pair.encode()).decode() for pair in pairs]
    for credentials in (*(f"basic  {each}" for each in basic), f"Bearer  {key}"):
        headers = {"Authorization": credentials}
        response = await app.phone.post("/oauth2/introspect", data={"token": "a"}, headers=headers)
        assert (response.status_code, response.json()) == (200, INACTIVE)


@pytest.mark.parametrize(
    "credentials",
    [
        *([], ["Bearer"], ["Bearer made-up"], ["Basic"], ["Basic é"], ["Basic bm8tY29sb24="]),
        *(["Basic YTpi"], ["Basic _w=="], [f"Token {SERVICE_KEY}"], [SERVICE_KEY]),
        [f"Bearer {SERVICE_KEY}", f"Bearer {SERVICE_KEY}"],
    ],
)
async def test_without_a_service_key_nothing_is_introspected(
    app: RunningApp, credentials: list[str]
) -> None:
    tokens = await app.log_in()
    headers = [(b"Authorization", value.encode()) for value in credentials]
    response = await app.phone.post(
        "/oauth2/introspect", data={"token": tokens["access_token"]}, headers=headers
    )
    assert refusal(response) == (401, "invalid_client")
    challenges = response.headers["WWW-Authenticate"]
    assert challenges == 'Bearer realm="ticketgate", Basic realm="ticketgate"'


# --- revocation ---


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize("refreshes", [0, 1, 2])
async def test_a_token_of_any_generation_revokes_its_session(
    app: RunningApp, kind: str, refreshes: int
) -> None:
    tokens, other = await app.log_in(), await app.log_in()
    last = tokens
    for _ in range(refreshes):
        last = await app.refresh(last["refresh_token"])
    for _ in range(2):
        await revoke(app, tokens[kind], token_type_hint="refresh_token", client_id="made-up")
        assert (await app.try_refresh(last["refresh_token"])).json()["reason"] == "revoked"
        assert (await app.get("/v1/me", last)).json()["reason"] == "revoked"
    assert (await app.get("/v1/me", other)).status_code == 200


async def test_a_token_that_is_not_good_revokes_nothing(app: RunningApp) -> None:
    tokens = await app.log_in()
    app.clock.advance(seconds=600)
    for token in ("made-up", "rt_" + "a" * 70, "a.b.c", SERVICE_KEY, tokens["access_token"]):
        await revoke(app, token)
    assert (await app.refresh(tokens["refresh_token"]))["outcome"] == "rotated"


# --- both ---


@pytest.mark.parametrize("path", OAUTH)
@pytest.mark.parametrize(
    ("body", "label"),
    [
        *((b"", FORM), (b"token=", FORM), (b"token_type_hint=access_token", FORM)),
        *((b"token=a&token=a", FORM), (b"token=a&x=1&x=2", FORM), (b"token", FORM)),
        *((b"token=a&&x=b", FORM), (b"token=%ff", FORM), (b"token=\xff", FORM)),
        *((b'{"token":"a"}', "application/json"), (b"token=a", "text/plain")),
        *((b"token=a", f"{FORM}; charset=gbk"), (b"token=a", "multipart/form-data; boundary=x")),
    ],
)
async def test_another_body_than_a_form_with_one_token_is_an_invalid_request(
    app: RunningApp, path: str, body: bytes, label: str
) -> None:
    headers = SERVICE | {"Content-Type": label, "Accept-Language": "zh"}
    response = await app.phone.post(path, content=body, headers=headers)
    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error_description"].isascii()


@pytest.mark.parametrize("path", OAUTH)
async def test_every_error_has_the_form_of_oauth(app: RunningApp, path: str) -> None:
    post, form = app.phone.post, {"token": (await app.log_in())["access_token"]}
    assert refusal(await app.phone.get(path)) == (405, "invalid_request")
    assert refusal(await post(f"{path}?token=a", headers=SERVICE)) == (400, "invalid_request")
    too_large = await post(path, data={"token": "a" * 8192}, headers=SERVICE)
    assert refusal(too_large) == (413, "invalid_request")
    app.break_store()
    response = await post(path, data=form, headers=SERVICE)
    assert refusal(response) == (503, "temporarily_unavailable")
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("app", [{"service_api_keys": ()}], indirect=True)
async def test_without_service_keys_only_revocation_is_there(app: RunningApp) -> None:
    tokens = await app.log_in()
    response = await app.phone.post("/oauth2/introspect", data={"token": "a"}, headers=SERVICE)
    assert response.status_code == 404
    metadata = (await app.phone.get("/.well-known/oauth-authorization-server")).json()
    assert not any(name.startswith("introspection") for name in metadata)
    await revoke(app, tokens["refresh_token"])
    assert (await app.get("/v1/me", tokens)).status_code == 401
